/* What the load generators share: MD5, HMAC-MD5, attributes, verified replies, time and chance. */
#ifndef RADIUS_H
#define RADIUS_H
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* ---- MD5 (RFC 1321) and HMAC-MD5 (RFC 2104) ---- */
typedef struct { uint32_t s[4]; uint64_t n; uint8_t b[64]; } md5_t;
static const uint8_t R[64] = {7,12,17,22,7,12,17,22,7,12,17,22,7,12,17,22,5,9,14,20,5,9,14,20,5,9,14,20,5,9,14,20,
 4,11,16,23,4,11,16,23,4,11,16,23,4,11,16,23,6,10,15,21,6,10,15,21,6,10,15,21,6,10,15,21};
static uint32_t K[64];
static double fsin_(double x) { return __builtin_sin(x); }
static void md5_tables(void) { for (int i = 0; i < 64; i++) { double v = fsin_(i + 1); if (v < 0) v = -v; K[i] = (uint32_t)(v * 4294967296.0); } }
static void md5_block(md5_t *c, const uint8_t *p) {
  uint32_t a = c->s[0], b = c->s[1], d = c->s[3], cc = c->s[2], w[16];
  memcpy(w, p, 64);
  for (int i = 0; i < 64; i++) {
    uint32_t f; int g;
    if (i < 16) { f = (b & cc) | (~b & d); g = i; }
    else if (i < 32) { f = (d & b) | (~d & cc); g = (5 * i + 1) & 15; }
    else if (i < 48) { f = b ^ cc ^ d; g = (3 * i + 5) & 15; }
    else { f = cc ^ (b | ~d); g = (7 * i) & 15; }
    uint32_t t = d; d = cc; cc = b;
    uint32_t x = a + f + K[i] + w[g];
    b = b + ((x << R[i]) | (x >> (32 - R[i]))); a = t;
  }
  c->s[0] += a; c->s[1] += b; c->s[2] += cc; c->s[3] += d;
}
static void md5_init(md5_t *c) { c->s[0] = 0x67452301; c->s[1] = 0xefcdab89; c->s[2] = 0x98badcfe; c->s[3] = 0x10325476; c->n = 0; }
static void md5_add(md5_t *c, const void *v, size_t n) {
  const uint8_t *p = v; size_t o = c->n & 63; c->n += n;
  while (n) { size_t k = 64 - o < n ? 64 - o : n; memcpy(c->b + o, p, k); o += k; p += k; n -= k; if (o == 64) { md5_block(c, c->b); o = 0; } }
}
static void md5_end(md5_t *c, uint8_t out[16]) {
  uint64_t bits = c->n * 8; uint8_t pad = 0x80; md5_add(c, &pad, 1); pad = 0;
  while ((c->n & 63) != 56) md5_add(c, &pad, 1);
  md5_add(c, &bits, 8); memcpy(out, c->s, 16);
}
static void hmac_md5(const uint8_t *key, size_t kn, const uint8_t *m, size_t n, uint8_t out[16]) {
  uint8_t ip[64], op[64]; md5_t c;
  memset(ip, 0x36, 64); memset(op, 0x5c, 64);
  for (size_t i = 0; i < kn && i < 64; i++) { ip[i] ^= key[i]; op[i] ^= key[i]; }
  md5_init(&c); md5_add(&c, ip, 64); md5_add(&c, m, n); md5_end(&c, out);
  md5_init(&c); md5_add(&c, op, 64); md5_add(&c, out, 16); md5_end(&c, out);
}

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static uint64_t rng = 88172645463325252ull;
static uint64_t rnd(void) { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng; }

static uint8_t *attr(uint8_t *p, int t, const void *v, int n) { p[0] = t; p[1] = n + 2; memcpy(p + 2, v, n); return p + n + 2; }
static uint8_t *attr32(uint8_t *p, int t, uint32_t v) { v = htonl(v); return attr(p, t, &v, 4); }

/* Whether a reply of n octets is the genuine answer to this request (RFC 2865 section 3). */
static int verify(const uint8_t *req, const uint8_t *rep, int n, const char *secret, size_t secret_n) {
  if (n < 20 || ((rep[2] << 8) | rep[3]) > n) return 0;
  n = (rep[2] << 8) | rep[3];
  uint8_t d[16]; md5_t c; md5_init(&c); md5_add(&c, rep, 4); md5_add(&c, req + 4, 16);
  md5_add(&c, rep + 20, n - 20); md5_add(&c, secret, secret_n); md5_end(&c, d);
  return !memcmp(d, rep + 4, 16);
}
static int cmpf(const void *a, const void *b) { float x = *(float *)a, y = *(float *)b; return x < y ? -1 : x > y; }
#endif
