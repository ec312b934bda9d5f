/* SPDX-License-Identifier: MIT
 *
 * serve.c: how fast kilnd serves blobs it has, against nginx with sendfile serving files of the
 * very same sizes from its document root. wrk drives both, in turns.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

#define ROUNDS 11
#define SECONDS "3"

static const struct {
  size_t bytes;
  double goal;
} sizes[] = {{1024, 0.8}, {65536, 1.0}, {1048576, 1.0}};

/* A script whose blob grows with `length`: V8 serialises its string constant byte by byte. */
static char *make_source(size_t length, size_t *ret_length) {
  static const char head[] = "kilnBench='";
  char *source = malloc(sizeof head + length + 3);
  if (source == NULL) bench_die("out of memory");
  memcpy(source, head, sizeof head - 1);
  memset(source + sizeof head - 1, 'k', length);
  memcpy(source + sizeof head - 1 + length, "';\n", 4);
  *ret_length = sizeof head - 1 + length + 3;
  return source;
}

/* Bakes until the blob is about `wanted` bytes long; its bytes go to `path`. */
static void bake(bench_client *client, const char *kilnd, size_t wanted, const char *path,
                 char ret_key[65], size_t *ret_bytes) {
  char *url = bench_format("%s/v1/createCachedData?filename=serve.js", kilnd);
  size_t length = wanted / 2;
  for (unsigned attempt = 0; attempt < 3; attempt++) {
    size_t source_length;
    char *source = make_source(length, &source_length);
    const bench_answer *answer = bench_post(client, url, source, source_length, 200);
    free(source);
    *ret_bytes = answer->body.length;
    memcpy(ret_key, answer->key, sizeof answer->key);
    bench_write(path, answer->body.data, answer->body.length);
    if (wanted + length < *ret_bytes) break; /* smaller than V8's own overhead */
    length += wanted - *ret_bytes;
  }
  free(url);
}

static void start_nginx(const char *root, char **ret_url) {
  unsigned port;
  /* nginx takes over listening sockets that NGINX names: no port to lose between finding it free
   * and binding it, and it takes connections from the first moment on. */
  int fd = bench_listen(&port);
  char *path = bench_format("%s/nginx.conf", root);
  char *config = bench_format(
      "daemon off; worker_processes 2; pid %s/nginx.pid; error_log %s/nginx.log; %s\n"
      "events { worker_connections 512; }\n"
      "http {\n"
      "  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
      "  open_file_cache max=100; default_type application/octet-stream;\n"
      "  client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/fastcgi;\n"
      "  uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;\n"
      "  server { listen 127.0.0.1:%u; root %s; }\n"
      "}\n",
      root, root, getuid() == 0 ? "user root;" : "", root, root, root, root, root, port, root);
  bench_write(path, config, strlen(config));
  char *program = bench_find_program("nginx");
  char *log = bench_format("%s/nginx.log", root);
  char *argv[] = {program, "-e", log, "-c", path, NULL};
  char *envp[] = {"NGINX=3;", NULL};
  bench_start(argv, envp, fd);
  close(fd);
  *ret_url = bench_format("http://127.0.0.1:%u", port);
  free(program);
  free(log);
  free(config);
  free(path);
}

static double wrk(char *program, const char *seconds, char *url) {
  char *duration = bench_format("-d%ss", seconds);
  char *argv[] = {program, "-t2", "-c32", duration, url, NULL};
  char *output = bench_run(argv, NULL);
  const char *line = strstr(output, "Requests/sec:");
  if (strstr(output, "Non-2xx") != NULL || strstr(output, "Socket errors") != NULL ||
      line == NULL) {
    bench_die("wrk on '%s': %s", url, output);
  }
  double rate = strtod(line + strlen("Requests/sec:"), NULL);
  free(duration);
  free(output);
  return rate;
}

void bench_serve(const bench_options *options, bench_report *report) {
  char *program = bench_find_program("wrk");
  unsigned rounds = options->rounds != 0 ? options->rounds : options->quick ? 1 : ROUNDS;
  const char *seconds = options->quick ? "1" : SECONDS;
  const char *root = bench_temp_dir();
  char *kilnd;
  char *nginx;
  pid_t pid = bench_start_kilnd(&kilnd);
  start_nginx(root, &nginx);
  bench_client *client = bench_client_new();

  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    char key[65];
    size_t bytes;
    char *file = bench_format("%s/%zu", root, i);
    bake(client, kilnd, sizes[i].bytes, file, key, &bytes);
    char *urls[2] = {bench_format("%s/v1/cachedData/%s", kilnd, key),
                     bench_format("%s/%zu", nginx, i)};
    char *what = bench_format("%zu bytes", bytes);
    bench_row *row = bench_report_add(report, what, "requests/s", BENCH_AT_LEAST, sizes[i].goal);
    for (unsigned round = 0; round < rounds; round++) {
      for (unsigned turn = 0; turn < 2; turn++) {
        unsigned who = (turn + round) % 2;
        bench_add(who == 0 ? &row->ours : &row->peer, wrk(program, seconds, urls[who]));
      }
    }
    free(what);
    free(urls[0]);
    free(urls[1]);
    free(file);
  }
  bench_client_free(client);
  bench_stop(pid);
  free(nginx);
  free(kilnd);
  free(program);
}
