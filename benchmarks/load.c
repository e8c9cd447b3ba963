/* The load: one thread that talks to an echo server on 127.0.0.1 and checks every byte of the echo.
 *
 *   load request PORT CONNECTIONS BYTES SECONDS   ask, wait for the echo, ask again
 *   load bulk    PORT CONNECTIONS BYTES SECONDS   writes of BYTES, as much as 1 MiB on its way
 *   load storm   PORT CONNECTIONS BYTES SECONDS   connect, BYTES there and back, close; all at once
 *   load idle    PORT CONNECTIONS BYTES SECONDS   hold them (see there)
 *
 * A last word, GREETING, is what the server says first. It prints "begun" when all are
 * connected, and a line of JSON at the end. What happens in the first quarter of the time (half a
 * second at most) does not count. Status 1: the server has not done what an echo server does, and
 * stderr says what. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#define PERIOD 65521         /* what is sent repeats itself after this prime number of bytes */
#define MOST (256 << 10)     /* read at once */
#define WINDOW (1 << 20)     /* on its way on a connection, for bulk */
#define SOURCES 16           /* addresses 127.0.0.1 and up, lest the ports of one run out */
#define PATIENCE 10          /* seconds without an answer */

struct connection {
    int fd;
    uint64_t sent, got;   /* bytes, on this connection */
    uint64_t start;       /* where in the pattern its bytes begin */
    uint64_t begun;       /* ns */
    size_t greeted;       /* bytes of the greeting that have come */
};

static char pattern[PERIOD + MOST], incoming[MOST];
static int port, poller;
static size_t size;
static const char *greeting = "";
static size_t greets;
static void start(struct connection *c, int flags) {
    static uint64_t turn;
    struct sockaddr_in here = {.sin_family = AF_INET}, there = here;
    int yes = 1;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + turn % SOURCES);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    there.sin_port = htons(port);
    *c = (struct connection){.start = turn++ * 7919 % PERIOD, .begun = now()};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (c->fd < 0 || bind(c->fd, (void *)&here, sizeof here))
        fail("cannot make a socket");
    if (connect(c->fd, (void *)&there, sizeof there) && errno != EINPROGRESS)
        fail("cannot connect");
}

static void watch(int how, struct connection *c, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, how, c->fd, &event);
}

static const char *at(struct connection *c, uint64_t position) {
    return pattern + (c->start + position) % PERIOD;
}

static void ask(struct connection *c) {
    if (send(c->fd, at(c, c->sent), size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("a request was not taken");
    c->sent += size;
}

/* Read once and check it; return how much of the echo came. */
static ssize_t hear(struct connection *c) {
    ssize_t got = recv(c->fd, incoming, sizeof incoming, 0), skip = 0;
    errno = got < 0 ? errno : 0;
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        fail("the server has gone");
    if (c->greeted < greets) {
        skip = got < (ssize_t)(greets - c->greeted) ? got : (ssize_t)(greets - c->greeted);
        if (memcmp(incoming, greeting + c->greeted, skip))
            fail("another greeting than was expected");
        c->greeted += skip;
    }
    if (c->got + got - skip > c->sent || memcmp(incoming + skip, at(c, c->got), got - skip))
        fail("what came back is not what was sent");
    c->got += got - skip;
    return got - skip;
}

/* Open so many, each greeted and answered once: no queue of the server's is ever full. */
static struct connection *opened(int connections) {
    struct connection *some = calloc(connections, sizeof *some);
    struct timeval patience = {.tv_sec = PATIENCE};
    size_t wanted = size;
    size = 16;
    for (struct connection *c = some; c < some + connections; c++) {
        start(c, 0);
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ask(c);
        while (c->got < c->sent)
            if (!hear(c) && errno == EAGAIN)
                fail("no answer");
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    }
    size = wanted;
    return some;
}

/* The loads: what is done about a connection that is ready; 0 when it has nothing more to do. */

static int request(struct connection *c) {
    hear(c);
    if (c->got < c->sent)
        return 1;
    uint64_t t = now();
    count(1, c->begun, t);
    c->begun = t;
    if (t < until)
        ask(c);
    return t < until;
}

/* Only what arrives makes us send: as long as anything is on its way, something will arrive. */
static int bulk(struct connection *c) {
    uint64_t t = now();
    ssize_t sent = size;
    count(hear(c), 0, t);
    while (t < until && sent == (ssize_t)size && c->sent - c->got < WINDOW) {
        sent = send(c->fd, at(c, c->sent), size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            fail("cannot send");
        c->sent += sent > 0 ? sent : 0;
    }
    return t < until || c->got < c->sent;
}

static int storm(struct connection *c) {
    if (!c->sent && !greets) {
        watch(EPOLL_CTL_MOD, c, EPOLLIN);
        ask(c);
        return 1;
    }
    hear(c);
    if (c->greeted == greets && !c->sent)
        ask(c);
    if (!c->sent || c->got < c->sent)
        return 1;
    close(c->fd);
    uint64_t t = now();
    count(1, c->begun, t);
    if (t >= until)
        return 0;
    start(c, SOCK_NONBLOCK);
    watch(EPOLL_CTL_ADD, c, greets ? EPOLLIN : EPOLLOUT);
    return 1;
}

static void run(int (*ready)(struct connection *), int busy) {
    struct epoll_event events[512];
    while (busy > 0) {
        int count = epoll_wait(poller, events, 512, PATIENCE * 1000);
        if (count == 0)
            fail("no answer");
        for (int i = 0; i < count; i++)
            busy -= !ready(events[i].data.ptr);
    }
    report();
}

/* In a process that has just started, malloc gives every large read back to the system: asyncio is
 * four times slower until some connections have ended. No server in use is that fresh. */
static void comeAndGo(int connections) {
    struct connection *some = opened(connections);
    for (int i = 0; i < connections; i++)
        close(some[i].fd);
    free(some);
}

static void talk(int (*ready)(struct connection *), int connections) {
    comeAndGo(100);
    struct connection *some = opened(connections);
    puts("begun");
    begin();
    for (struct connection *c = some; c < some + connections; c++) {
        c->begun = now();
        watch(EPOLL_CTL_ADD, c, EPOLLIN);
        ask(c);
    }
    run(ready, connections);
}

static void connectAndClose(int connections) {
    struct connection *some = calloc(connections, sizeof *some);
    puts("begun");
    begin();
    for (struct connection *c = some; c < some + connections; c++) {
        start(c, SOCK_NONBLOCK);
        watch(EPOLL_CTL_ADD, c, greets ? EPOLLIN : EPOLLOUT);
    }
    run(storm, connections);
}

/* Says "warm" with a few connections, and after a line of stdin "held" with all the others too. */
static void hold(int connections) {
    opened(32);
    puts("warm");
    getchar();
    opened(connections);
    puts("held");
    getchar();
}

int main(int count, char **words) {
    struct rlimit files;
    if (count < 6)
        fail("usage: load request|bulk|storm|idle PORT CONNECTIONS BYTES SECONDS [GREETING]");
    port = atoi(words[2]);
    int connections = atoi(words[3]);
    size = atoi(words[4]);
    seconds = atof(words[5]);
    greeting = count > 6 ? words[6] : "";
    greets = strlen(greeting);
    if (size < 1 || size > MOST || connections < 1)
        fail("as many BYTES make no sense, or as many CONNECTIONS");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stdout, NULL, _IOLBF, 0);
    srandom(1);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i < PERIOD ? random() >> 8 : pattern[i - PERIOD];
    poller = epoll_create1(0);
    if (!strcmp(words[1], "request"))
        talk(request, connections);
    else if (!strcmp(words[1], "bulk"))
        talk(bulk, connections);
    else if (!strcmp(words[1], "storm"))
        connectAndClose(connections);
    else if (!strcmp(words[1], "idle"))
        hold(connections);
    else
        fail("unknown load");
    return 0;
}
