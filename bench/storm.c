/* storm: everybody's power comes back. So many CPEs dial at once behind several NASes, as real ones do.
 *
 *   cc -O2 -o storm storm.c -lm
 *   ./storm -a 1812 -p 1813 -u 50000 -n 10
 *
 * A NAS (127.0.1.1, .2, ...) sends from 16 source ports, an Access-Request three times, 1.1 s apart, as RouterOS does;
 * a CPE whose login nobody answered dials again after 1 to 3 s. An accepted one is accounted for: Start with the Class
 * that it was given, repeated every 1.1 s until it is acknowledged. Then it is online. The power comes back within -s
 * seconds for all of them. Every reply is verified.
 *
 * One line of JSON is printed at the end: how long until all were online, how long a login waited for its answer (from
 * its first datagram), how many accepts name the walled garden's list, how many logins were refused or had to be dialled
 * again. Exit status 1 when not all were online after -t seconds, or a reply was forged.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "radius.h"

enum { PORTS = 16, TRIES = 3, PACKET = 320, CLASS_MAX = 64 };
static const double RETRANSMIT_S = 1.1;
static const char GARDEN[] = "walled-garden";

static const char *host = "127.0.0.1", *secret = "testing123", *run = "s";
static int auth_port = 1812, acct_port = 1813, boxes = 10;
static long users = 50000;
static double spread = 1.0, limit = 60.0;
static size_t secret_n;

typedef enum { DARK, ASKING, ACCEPTED, STARTING, ONLINE } state_t; /* accepted: no Identifier was free for its Start */
typedef struct {
  state_t state;
  double due, first; /* what is due next; when this login's (or Start's) first datagram left */
  int tries, class_n, len, line, id; /* line: index of the socket it uses now */
  uint8_t class_value[CLASS_MAX], pkt[PACKET];
} cpe_t;
/* Free Identifiers are a ring, the longest free first: what a NAS gave up on may still be answered. */
typedef struct { int fd, nfree; uint8_t head, freeids[256]; int32_t owner[256]; } line_t;

static cpe_t *C;
static line_t *L[2]; /* towards the authentication and the accounting port */
static float *waited;
static long online, answered, garden, refused, redialled, retransmits, forged, stray;

static int take(int side, long user) {
  /* A source port of this subscriber's NAS with a free Identifier, or -1. */
  int base = (int)(user % boxes) * PORTS;
  for (int k = 0; k < PORTS; k++) {
    int i = base + (int)((user / boxes + k) % PORTS);
    if (L[side][i].nfree) return i;
  }
  return -1;
}

static uint8_t *common(uint8_t *p, long user, char *name, int name_n) {
  char mac[18];
  snprintf(mac, sizeof mac, "02:00:%02lX:%02lX:%02lX:%02lX", user >> 24 & 255, user >> 16 & 255, user >> 8 & 255, user & 255);
  p = attr(p, 1, name, name_n);
  p = attr32(p, 4, 0x7f000101 + (uint32_t)(user % boxes));
  p = attr32(p, 5, (uint32_t)user & 0xffffff);
  p = attr32(p, 6, 2); p = attr32(p, 7, 1); p = attr32(p, 61, 15);
  return attr(p, 31, mac, 17);
}

static void build_login(cpe_t *c, long user) {
  char name[32], pass[32]; uint8_t buf[16] = {0}, d[16], zero[16] = {0};
  int name_n = snprintf(name, sizeof name, "user%07ld", user), pass_n = snprintf(pass, sizeof pass, "pass%07ld", user);
  uint8_t *pkt = c->pkt; pkt[0] = 1; pkt[1] = c->id;
  for (int i = 0; i < 16; i += 8) { uint64_t r = rnd(); memcpy(pkt + 4 + i, &r, 8); }
  uint8_t *p = common(pkt + 20, user, name, name_n);
  memcpy(buf, pass, pass_n);
  md5_t m; md5_init(&m); md5_add(&m, secret, secret_n); md5_add(&m, pkt + 4, 16); md5_end(&m, d);
  for (int i = 0; i < 16; i++) buf[i] ^= d[i];
  p = attr(p, 2, buf, 16);
  uint8_t *ma = p; p = attr(p, 80, zero, 16);
  c->len = (int)(p - pkt); pkt[2] = c->len >> 8; pkt[3] = c->len;
  hmac_md5((const uint8_t *)secret, secret_n, pkt, c->len, ma + 2);
}

static void build_start(cpe_t *c, long user) {
  char name[32], sid[48]; int name_n = snprintf(name, sizeof name, "user%07ld", user);
  uint8_t *pkt = c->pkt; pkt[0] = 4; pkt[1] = c->id; memset(pkt + 4, 0, 16);
  uint8_t *p = common(pkt + 20, user, name, name_n);
  p = attr(p, 44, sid, snprintf(sid, sizeof sid, "%s-%ld", run, user));
  p = attr32(p, 40, 1); p = attr32(p, 55, (uint32_t)time(NULL)); p = attr32(p, 8, 0x64400000 + (uint32_t)user);
  if (c->class_n) p = attr(p, 25, c->class_value, c->class_n);
  c->len = (int)(p - pkt); pkt[2] = c->len >> 8; pkt[3] = c->len;
  md5_t m; md5_init(&m); md5_add(&m, pkt, c->len); md5_add(&m, secret, secret_n); md5_end(&m, pkt + 4);
}

static void send_now(cpe_t *c, int side, double t) {
  if (send(L[side][c->line].fd, c->pkt, c->len, 0) < 0 && errno != ECONNREFUSED && errno != EAGAIN) { perror("send"); exit(2); }
  c->tries++; c->due = t + RETRANSMIT_S;
}

/* Ask for this subscriber: a login (side 0) or its Start (1). A NAS without a free Identifier tries again in 20 ms. */
static void begin(long user, int side, double t) {
  cpe_t *c = &C[user]; int i = take(side, user);
  if (i < 0) { c->state = side ? ACCEPTED : DARK; c->due = t + 0.02; return; }
  line_t *l = &L[side][i];
  c->line = i; c->id = l->freeids[l->head++]; l->nfree--; l->owner[c->id] = (int32_t)user;
  c->state = side ? STARTING : ASKING; c->tries = 0; c->first = t;
  if (side) build_start(c, user); else build_login(c, user);
  send_now(c, side, t);
}

static void release(cpe_t *c, int side) {
  line_t *l = &L[side][c->line];
  l->owner[c->id] = -1; l->freeids[(l->head + l->nfree++) & 255] = (uint8_t)c->id;
}

static void timer(long user, double t) {
  cpe_t *c = &C[user];
  if (c->due > t || c->state == ONLINE) return;
  if (c->state == DARK || c->state == ACCEPTED) { begin(user, c->state == ACCEPTED, t); return; }
  int side = c->state == STARTING;
  if (side || c->tries < TRIES) { retransmits++; send_now(c, side, t); return; }
  release(c, side); c->state = DARK; redialled++;
  c->due = t + 1 + (double)(rnd() % 2000) / 1000;
}

/* The Class to give back, and whether the walled garden is named. */
static void read_accept(cpe_t *c, const uint8_t *rep) {
  int n = rep[2] << 8 | rep[3], at = 20; c->class_n = 0;
  while (at + 2 <= n && rep[at + 1] >= 2 && at + rep[at + 1] <= n) {
    if (rep[at] == 25 && rep[at + 1] - 2 <= CLASS_MAX) { c->class_n = rep[at + 1] - 2; memcpy(c->class_value, rep + at + 2, c->class_n); }
    at += rep[at + 1];
  }
  garden += memmem(rep + 20, n - 20, GARDEN, sizeof GARDEN - 1) != NULL;
}

static void receive(int side, int i) {
  uint8_t rep[4096];
  for (;;) {
    int n = recv(L[side][i].fd, rep, sizeof rep, 0);
    if (n < 0) return;
    int32_t user = n < 20 ? -1 : L[side][i].owner[rep[1]];
    if (user < 0) { stray++; continue; }
    cpe_t *c = &C[user];
    if (!verify(c->pkt, rep, n, secret, secret_n)) { forged++; continue; }
    double t = now();
    release(c, side);
    if (side) { c->state = ONLINE; online++; continue; }
    if (answered < users) waited[answered] = (float)(t - c->first);
    answered++;
    if (rep[0] != 2) { refused++; c->state = DARK; c->due = t + 1 + (double)(rnd() % 2000) / 1000; continue; }
    read_accept(c, rep);
    begin(user, 1, t);
  }
}

static void open_lines(struct pollfd *pf) {
  for (int side = 0; side < 2; side++) {
    L[side] = calloc((size_t)boxes * PORTS, sizeof(line_t));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(side ? acct_port : auth_port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    for (int i = 0; i < boxes * PORTS; i++) {
      line_t *l = &L[side][i]; int b = 4 << 20;
      struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + (uint32_t)(i / PORTS))};
      l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
      setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &b, sizeof b);
      if (bind(l->fd, (void *)&from, sizeof from) || connect(l->fd, (void *)&to, sizeof to)) { perror("socket"); exit(2); }
      for (int k = 0; k < 256; k++) { l->freeids[k] = (uint8_t)k; l->owner[k] = -1; }
      l->nfree = 256;
      pf[side * boxes * PORTS + i] = (struct pollfd){.fd = l->fd, .events = POLLIN};
    }
  }
}

int main(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "h:a:p:u:n:s:S:t:R:")) != -1) switch (o) {
    case 'h': host = optarg; break; case 'a': auth_port = atoi(optarg); break; case 'p': acct_port = atoi(optarg); break;
    case 'u': users = atol(optarg); break; case 'n': boxes = atoi(optarg); break; case 's': spread = atof(optarg); break;
    case 'S': secret = optarg; break; case 't': limit = atof(optarg); break; case 'R': run = optarg; break;
    default: fprintf(stderr, "usage: storm [-h host] [-a authentication port] [-p accounting port] [-u users] [-n NASes] [-s seconds in which the power comes back] [-S secret] [-t seconds until it gives up] [-R run prefix of session ids]\n"); return 2;
  }
  secret_n = strlen(secret); md5_tables(); rng ^= (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
  C = calloc((size_t)users, sizeof *C); waited = calloc((size_t)users, sizeof *waited);
  int sockets = 2 * boxes * PORTS; struct pollfd *pf = calloc((size_t)sockets, sizeof *pf);
  open_lines(pf);
  double t0 = now(), swept = 0;
  for (long u = 0; u < users; u++) C[u].due = t0 + spread * (double)(rnd() % 100000) / 100000;
  while (online < users && now() - t0 < limit) {
    poll(pf, (nfds_t)sockets, 5);
    for (int i = 0; i < sockets; i++) if (pf[i].revents) receive(i >= boxes * PORTS, i % (boxes * PORTS));
    double t = now();
    if (t - swept < 0.005) continue;
    swept = t;
    for (long u = 0; u < users; u++) timer(u, t);
  }
  double seconds = now() - t0; long logins = answered < users ? answered : users;
  qsort(waited, (size_t)logins, sizeof *waited, cmpf);
#define P(q) (logins ? waited[(long)((logins - 1) * (q))] * 1e3 : 0)
  printf("{\"users\":%ld,\"online\":%ld,\"seconds\":%.2f,\"answered\":%ld,\"refused\":%ld,\"walled_garden\":%ld,\"redialled\":%ld,\"retransmits\":%ld,\"forged\":%ld,\"stray\":%ld,\"p50_ms\":%.1f,\"p99_ms\":%.1f,\"max_ms\":%.1f}\n",
    users, online, seconds, answered, refused, garden, redialled, retransmits, forged, stray, P(.5), P(.99), P(1.0));
  return online < users || forged;
}
