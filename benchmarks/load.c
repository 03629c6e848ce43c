/*
 * load: a closed-loop load client, compiled so that the client is not what is measured.
 *
 *   load [--connections N] [--depth N] [--seconds S | --requests N] ws|resp HOST:PORT[,HOST:PORT...] MESSAGES
 *
 * One thread, epoll. Each connection writes DEPTH requests in one go, waits for all their answers, and goes on with
 * the next DEPTH. Latency is the time from that write to each answer. With --seconds the first fifth warms up and is
 * not counted; with --requests everything is. With several addresses the connections take turns at them.
 *
 * MESSAGES holds ready requests, each as a 32-bit little-endian length and the bytes; all connections take turns at
 * them, again from the start after the last. For `ws` a request is a complete masked frame, for `resp` a command.
 *
 * Prints one line of JSON: rate (answers per second), requests, seconds, p50_us, p99_us, max_us, errors (answers that
 * are errors), closed (connections lost), answered (all answers, those of the warm-up included), cpu_seconds (what this
 * client took for them). The first error's text goes to standard error. Exit: 0 measured, 1 could not connect or the
 * server fell silent, 2 wrong usage.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES = 64, EVENTS = 512, FIRST_BUFFER = 1 << 16, LEAST_ROOM = 1 << 15, SILENCE_MS = 60000, SAMPLE = 300 };

/* An error's mark stands near the start of an answer; longer ones are not searched to their end. */
enum { SEARCHED = 400 };

static const uint64_t SECOND = 1000000000;

typedef struct {
    char *data;
    size_t length, capacity;
} Buffer;

typedef struct {
    const char *data;
    size_t length;
} Slice;

typedef struct {
    const char *host;
    int port;
} Address;

typedef struct {
    int fd;
    Buffer in, out;
    size_t written;   /* of `out` */
    int unanswered;   /* requests of the present batch */
    uint64_t sent_at;
} Connection;

/* One complete answer at the start of a buffer; size 0: not complete yet. */
typedef struct {
    size_t size;      /* with its framing */
    Slice body;
    bool control;     /* ping, pong, close: no answer to a request */
    bool error;
} Answer;

static struct {
    bool websocket;
    Address addresses[ADDRESSES];
    int address_count, connections, depth;
    double seconds;
    long requests;    /* 0: limited by time */
} options = {.connections = 50, .depth = 1, .seconds = 5};

static struct {
    Slice *items;
    size_t count, next;
} messages;

static struct {
    uint64_t begun, counted_from, ends, last_answer;
    double cpu_before;
    long issued, answered, errors, closed;
    uint32_t *latency_us;
    size_t counted, capacity;
    char sample[SAMPLE];
} run;

static int epoll_fd;

static void fail(int code, const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(code);
}

static void *grown(void *data, size_t size) {
    void *more = realloc(data, size);
    if (!more)
        fail(1, "out of memory");
    return more;
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void reserve(Buffer *buffer, size_t room) {
    if (buffer->capacity - buffer->length >= room)
        return;
    buffer->capacity = (buffer->length + room) * 2;
    buffer->data = grown(buffer->data, buffer->capacity);
}

static void consume(Buffer *buffer, size_t count) {
    memmove(buffer->data, buffer->data + count, buffer->length - count);
    buffer->length -= count;
}

/* ---- the two protocols ---- */

/* Bytes of the complete RESP value at `data`, 0 if some are still missing. */
static size_t resp_size(const char *data, size_t length) {
    const char *end = memchr(data, '\n', length);
    if (!end)
        return 0;
    size_t size = (size_t)(end - data) + 1;
    long count = atol(data + 1);
    if (*data == '$' && count >= 0)
        return size + (size_t)count + 2 <= length ? size + (size_t)count + 2 : 0;
    if (*data == '*')
        for (long i = 0; i < count; i++) {
            size_t item = size < length ? resp_size(data + size, length - size) : 0;
            if (!item)
                return 0;
            size += item;
        }
    return size;
}

static Answer resp_answer(const char *data, size_t length) {
    size_t size = resp_size(data, length);
    return (Answer){.size = size, .body = {data, size}, .error = size && *data == '-'};
}

/* A server's frame is not masked; our servers do not fragment. */
static Answer ws_answer(const char *data, size_t length) {
    const unsigned char *bytes = (const unsigned char *)data;
    if (length < 2)
        return (Answer){0};
    uint64_t payload = bytes[1] & 127;
    size_t wide = payload == 126 ? 2 : payload == 127 ? 8 : 0;
    if (length < 2 + wide)
        return (Answer){0};
    if (wide)
        payload = 0;
    for (size_t i = 0; i < wide; i++)
        payload = payload << 8 | bytes[2 + i];
    if (length - 2 - wide < payload)
        return (Answer){0};
    Slice body = {data + 2 + wide, payload};
    size_t searched = body.length < SEARCHED ? body.length : SEARCHED;
    return (Answer){
        .size = 2 + wide + payload,
        .body = body,
        .control = (bytes[0] & 15) >= 8,
        .error = memmem(body.data, searched, "\"error\"", 7) != NULL,
    };
}

static void ws_handshake(Connection *c, Address to) {
    char request[512];
    int length = snprintf(request, sizeof request,
                          "GET / HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          to.host, to.port);
    if (write(c->fd, request, (size_t)length) != length)
        fail(1, "handshake");
    for (;;) {
        ssize_t count = read(c->fd, c->in.data + c->in.length, c->in.capacity - c->in.length);
        if (count <= 0)
            fail(1, "the server closed the connection in the handshake");
        c->in.length += (size_t)count;
        char *end = memmem(c->in.data, c->in.length, "\r\n\r\n", 4);
        if (!end)
            continue;
        if (strncmp(c->in.data, "HTTP/1.1 101", 12)) {
            fprintf(stderr, "load: the server refused: %.*s\n", (int)c->in.length, c->in.data);
            exit(1);
        }
        consume(&c->in, (size_t)(end + 4 - c->in.data));
        return;
    }
}

/* ---- connections ---- */

static void watch(Connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event))
        fail(1, "epoll_ctl");
}

static void open_connection(Connection *c, Address to) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to.port)};
    int on = 1;
    if (inet_pton(AF_INET, to.host, &address.sin_addr) != 1)
        fail(2, "HOST must be an IPv4 address");
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
        fail(1, "connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    reserve(&c->in, FIRST_BUFFER);
    if (options.websocket)
        ws_handshake(c, to);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void lose(Connection *c) {
    close(c->fd);
    c->fd = -1;
    run.closed++;
}

/* From here on its events are no answers: a ping, or the server's end. */
static void retire(Connection *c) {
    if (c->fd >= 0)
        watch(c, EPOLL_CTL_DEL, 0);
}

/* Write what is left of the batch; where the socket is full, epoll says when to go on. False: connection lost. */
static bool flush(Connection *c) {
    while (c->written < c->out.length) {
        ssize_t count = write(c->fd, c->out.data + c->written, c->out.length - c->written);
        if (count < 0 && errno == EAGAIN) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return true;
        }
        if (count < 0) {
            lose(c);
            return false;
        }
        c->written += (size_t)count;
    }
    return true;
}

/* Send the next batch; false where there is none left or the connection is lost. */
static bool send_batch(Connection *c) {
    uint64_t time = now();
    long count = options.depth;
    if (options.requests && options.requests - run.issued < count)
        count = options.requests - run.issued;
    if (count <= 0 || (!options.requests && time > run.ends))
        return false;
    c->out.length = c->written = 0;
    for (long i = 0; i < count; i++) {
        Slice message = messages.items[messages.next];
        messages.next = (messages.next + 1) % messages.count;
        reserve(&c->out, message.length);
        memcpy(c->out.data + c->out.length, message.data, message.length);
        c->out.length += message.length;
    }
    run.issued += count;
    c->unanswered = (int)count;
    c->sent_at = time;
    return flush(c);
}

static void count_answer(const Connection *c, Answer answer, uint64_t time) {
    run.last_answer = time;
    run.answered++;
    run.errors += answer.error;
    if (answer.error && !run.sample[0])
        snprintf(run.sample, sizeof run.sample, "%.*s", (int)answer.body.length, answer.body.data);
    if (time < run.counted_from || (!options.requests && time > run.ends))
        return;
    if (run.counted == run.capacity) {
        run.capacity = run.capacity ? run.capacity * 2 : 1 << 16;
        run.latency_us = grown(run.latency_us, run.capacity * sizeof *run.latency_us);
    }
    run.latency_us[run.counted++] = (uint32_t)((time - c->sent_at) / 1000);
}

static void take_answers(Connection *c) {
    size_t taken = 0;
    uint64_t time = now();
    while (taken < c->in.length) {
        const char *data = c->in.data + taken;
        size_t length = c->in.length - taken;
        Answer answer = options.websocket ? ws_answer(data, length) : resp_answer(data, length);
        if (!answer.size)
            break;
        taken += answer.size;
        if (answer.control)
            continue;
        count_answer(c, answer, time);
        c->unanswered--;
    }
    consume(&c->in, taken);
}

/* False where this connection has nothing more to do. */
static bool serve(Connection *c, uint32_t events) {
    if (events & EPOLLOUT) {
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        if (!flush(c))
            return false;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return true;
    reserve(&c->in, LEAST_ROOM);
    ssize_t count = read(c->fd, c->in.data + c->in.length, c->in.capacity - c->in.length);
    if (count < 0 && errno == EAGAIN)
        return true;
    if (count <= 0) {
        lose(c);
        return false;
    }
    c->in.length += (size_t)count;
    take_answers(c);
    return c->unanswered > 0 || send_batch(c);
}

static void run_load(Connection *connections) {
    struct epoll_event events[EVENTS];
    int active = 0;
    run.begun = run.counted_from = now();
    run.cpu_before = cpu_seconds();
    if (!options.requests) {
        run.counted_from += (uint64_t)(options.seconds * 0.2 * (double)SECOND);
        run.ends = run.begun + (uint64_t)(options.seconds * (double)SECOND);
    }
    for (int i = 0; i < options.connections; i++)
        active += send_batch(&connections[i]);
    while (active > 0) {
        int count = epoll_wait(epoll_fd, events, EVENTS, SILENCE_MS);
        errno = count < 0 ? errno : 0;
        if (count < 0 && errno != EINTR)
            fail(1, "epoll_wait");
        if (count == 0)
            fail(1, "no answer for 60 s");
        for (int i = 0; i < count; i++)
            if (!serve(events[i].data.ptr, events[i].events)) {
                retire(events[i].data.ptr);
                active--;
            }
    }
}

/* ---- start and end ---- */

static void read_messages(const char *path) {
    FILE *file = fopen(path, "rb");
    size_t capacity = 0;
    uint32_t length;
    if (!file)
        fail(2, path);
    while (fread(&length, sizeof length, 1, file) == 1) {
        if (messages.count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            messages.items = grown(messages.items, capacity * sizeof *messages.items);
        }
        char *data = grown(NULL, length);
        if (fread(data, 1, length, file) != length)
            fail(2, "the messages file ends within a message");
        messages.items[messages.count++] = (Slice){data, length};
    }
    fclose(file);
    if (!messages.count)
        fail(2, "the messages file is empty");
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t quantile(double q) {
    return run.counted ? run.latency_us[(size_t)(q * (double)(run.counted - 1))] : 0;
}

static void report(void) {
    uint64_t end = options.requests ? run.last_answer : run.ends;
    double cpu = cpu_seconds() - run.cpu_before;
    double seconds = end > run.counted_from ? (double)(end - run.counted_from) / (double)SECOND : 0;
    qsort(run.latency_us, run.counted, sizeof *run.latency_us, by_size);
    printf("{\"rate\":%.0f,\"requests\":%zu,\"seconds\":%.3f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,"
           "\"errors\":%ld,\"closed\":%ld,\"answered\":%ld,\"cpu_seconds\":%.6f}\n",
           seconds > 0 ? (double)run.counted / seconds : 0, run.counted, seconds, quantile(0.5), quantile(0.99),
           quantile(1), run.errors, run.closed, run.answered, cpu);
    for (char *p = run.sample; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    if (run.sample[0])
        fprintf(stderr, "load: first error: %s\n", run.sample);
}

static void usage(void) {
    fprintf(stderr, "usage: load [--connections N] [--depth N] [--seconds S | --requests N] ws|resp "
                    "HOST:PORT[,HOST:PORT...] MESSAGES\n");
    exit(2);
}

/* `text` is HOST:PORT[,HOST:PORT...], and is taken apart in place. */
static void read_addresses(char *text) {
    for (char *one = strtok(text, ","); one; one = strtok(NULL, ",")) {
        char *colon = strrchr(one, ':');
        if (!colon || options.address_count == ADDRESSES)
            usage();
        *colon = 0;
        options.addresses[options.address_count++] = (Address){one, atoi(colon + 1)};
    }
    if (!options.address_count)
        usage();
}

static const char *parse_options(int argc, char **argv) {
    static const struct option known[] = {
        {"connections", required_argument, NULL, 'c'}, {"depth", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'},     {"requests", required_argument, NULL, 'n'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
        switch (option) {
        case 'c': options.connections = atoi(optarg); break;
        case 'd': options.depth = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'n': options.requests = atol(optarg); break;
        default: usage();
        }
    if (argc - optind != 3 || options.connections < 1 || options.depth < 1 || options.seconds <= 0)
        usage();
    char **words = argv + optind;
    options.websocket = !strcmp(words[0], "ws");
    if (!options.websocket && strcmp(words[0], "resp"))
        usage();
    read_addresses(words[1]);
    return words[2];
}

int main(int argc, char **argv) {
    read_messages(parse_options(argc, argv));
    signal(SIGPIPE, SIG_IGN);
    Connection *connections = calloc((size_t)options.connections, sizeof *connections);
    epoll_fd = epoll_create1(0);
    if (!connections || epoll_fd < 0)
        fail(1, "start");
    for (int i = 0; i < options.connections; i++)
        open_connection(&connections[i], options.addresses[i % options.address_count]);
    run_load(connections);
    report();
    return 0;
}
