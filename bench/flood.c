/* flood: a sender of webhooks that keeps its own time, whatever its receiver does (open loop).
 *
 *   cc -O2 -o flood flood.c
 *   ./flood 8000 requests
 *
 * The file holds one request after another, in the order of their times: a line "<microseconds from the start> <octets>"
 * and then so many octets of HTTP/1.1 as they are to be sent. Each leaves at its time on a kept connection to 127.0.0.1
 * that has nothing to do, on a new one where there is none, and where CONNECTIONS are busy as soon as one is free.
 *
 * For each answer one line is printed, "<request's number> <status> <microseconds>", counted from the moment at which the
 * request was to leave until the answer's last octet was there, so that what waits here counts as well. Status 0 is no
 * answer within PATIENCE_S, by when senders give up, or a connection that was lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 512, ANSWER = 16384 };
static const double PATIENCE_S = 10.0;

typedef struct { double due; const char *octets; size_t len; } request_t;
typedef struct { int fd, kept; long request; double deadline; size_t sent, got; char answer[ANSWER]; } connection_t;

static request_t *R;
static long requests, next_one, answered;
static connection_t C[CONNECTIONS];
static int idle[CONNECTIONS], idles, opened, poller;
static struct sockaddr_in server = {.sin_family = AF_INET};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(2); }

static void load(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) die(path);
  long room = 0, micros;
  size_t len;
  while (fscanf(file, "%ld %zu", &micros, &len) == 2) {
    if (fgetc(file) != '\n') die("a request has no line of its own");
    if (requests == room) R = realloc(R, (room = room ? 2 * room : 1024) * sizeof *R);
    char *octets = malloc(len);
    if (fread(octets, 1, len, file) != len) die("a request is cut short");
    R[requests++] = (request_t){micros / 1e6, octets, len};
  }
  fclose(file);
}

static void watch(connection_t *c, int operation, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  if (epoll_ctl(poller, operation, c->fd, &e)) die("epoll_ctl");
}

static void dial(connection_t *c) {
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) die("connect");
  watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void end(connection_t *c, int status, double start, int keep) {
  printf("%ld %d %.0f\n", c->request, status, 1e6 * (now() - start - R[c->request].due));
  answered++;
  c->request = -1;
  if (!keep) { close(c->fd); c->fd = -1; }
  idle[idles++] = (int)(c - C);
}

static void push(connection_t *c) {
  request_t *r = &R[c->request];
  while (c->sent < r->len) {
    ssize_t n = send(c->fd, r->octets + c->sent, r->len - c->sent, MSG_NOSIGNAL);
    if (n < 0) return;
    c->sent += n;
  }
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static int complete(connection_t *c) {
  /* The status once the whole answer is there, else 0. */
  c->answer[c->got] = 0;
  char *body = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "\r\ncontent-length:");
  if (!body || !length || length > body) return 0;
  if ((size_t)(body + 4 - c->answer) + strtoul(length + 17, NULL, 10) > c->got) return 0;
  return atoi(c->answer + 9);
}

static void pull(connection_t *c, double start) {
  ssize_t n = recv(c->fd, c->answer + c->got, ANSWER - 1 - c->got, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (c->request < 0) { /* a connection that had nothing to do was closed, and is dialled again when it is needed */
    close(c->fd);
    c->fd = -1;
    return;
  }
  if (n <= 0 && c->got == 0 && c->kept) { /* it was closed as we sent: a sender takes another connection */
    close(c->fd);
    c->sent = c->kept = 0;
    dial(c);
    return;
  }
  if (n <= 0) { end(c, 0, start, 0); return; }
  c->got += n;
  int status = complete(c);
  if (status) end(c, status, start, !strcasestr(c->answer, "\r\nconnection: close"));
}

static void send_due(double start) {
  while (next_one < requests && R[next_one].due <= now() - start && (idles || opened < CONNECTIONS)) {
    connection_t *c = idles ? &C[idle[--idles]] : &C[opened++];
    c->request = next_one++;
    c->sent = c->got = 0;
    c->kept = c->fd >= 0;
    c->deadline = start + R[c->request].due + PATIENCE_S;
    if (c->kept) push(c); else dial(c);
    if (c->kept && c->sent < R[c->request].len) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  }
}

static void give_up(double start) {
  for (int i = 0; i < opened; i++)
    if (C[i].request >= 0 && C[i].deadline < now()) end(&C[i], 0, start, 0);
}

int main(int argc, char **argv) {
  if (argc != 3) { fprintf(stderr, "flood PORT FILE\n"); return 2; }
  server.sin_port = htons(atoi(argv[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  load(argv[2]);
  for (int i = 0; i < CONNECTIONS; i++) C[i].fd = -1, C[i].request = -1;
  poller = epoll_create1(0);
  double start = now() + 0.1;
  struct epoll_event events[256];
  while (answered < requests) {
    send_due(start);
    int n = epoll_wait(poller, events, 256, 1);
    for (int i = 0; i < n; i++) {
      connection_t *c = events[i].data.ptr;
      if (c->fd >= 0 && c->request >= 0 && (events[i].events & EPOLLOUT)) push(c);
      if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) pull(c, start);
    }
    give_up(start);
  }
  return 0;
}
