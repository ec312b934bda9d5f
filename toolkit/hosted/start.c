/* SPDX-License-Identifier: MIT
 *
 * start.c: kiln-engine.so, which the pool has a node binary preload. It takes the place of that
 * program's main(): the process has Node's code and its build id, but Node never starts. Instead
 * the main() of kiln-engine-v8.so, which stands beside it and needs V8's symbols, is run. In any
 * other program, and in a node that is started as usual, it does nothing.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENGINE "kiln-engine-v8.so"
/* Names another object to run, whatever the arguments are: for tests. */
#define OBJECT_VARIABLE "KILN_HOSTED"

typedef int main_fn(int argc, char **argv, char **environment);
typedef int start_fn(main_fn *program, int argc, char **argv, void (*init)(void),
                     void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

start_fn __libc_start_main; /* which no header declares */

static bool path_of_engine(char *path, size_t size) {
  Dl_info self;
  if (dladdr((void *)(size_t)&__libc_start_main, &self) == 0) return false;
  const char *slash = strrchr(self.dli_fname, '/');
  int length = slash ? (int)(slash + 1 - self.dli_fname) : 0;
  int written = snprintf(path, size, "%.*s%s", length, self.dli_fname, ENGINE);
  return written > 0 && (size_t)written < size;
}

static int hosted_main(int argc, char **argv, char **environment) {
  char path[PATH_MAX] = "";
  const char *given = getenv(OBJECT_VARIABLE);
  if (given)
    snprintf(path, sizeof(path), "%s", given);
  else if (!path_of_engine(path, sizeof(path)))
    return 127;
  unsetenv(OBJECT_VARIABLE); /* not for programs that this one starts */
  unsetenv("LD_PRELOAD");
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  union {
    void *symbol;
    main_fn *function;
  } entry = {object ? dlsym(object, "main") : NULL};
  if (entry.symbol) return entry.function(argc, argv, environment);
  fprintf(stderr, "kiln-engine: %s\n", dlerror());
  return 127;
}

/* environ may not be set yet: what follows the arguments is it. */
static bool is_asked_for(int argc, char **argv) {
  if (!dlsym(RTLD_DEFAULT, "napi_module_register"))
    return false; /* no node: the variables leaked */
  const size_t length = strlen(OBJECT_VARIABLE);
  for (char **variable = argv + argc + 1; *variable; variable++)
    if (strncmp(*variable, OBJECT_VARIABLE, length) == 0 && (*variable)[length] == '=') return true;
  return argc > 1 && strcmp(argv[1], "--zygote") == 0;
}

__attribute__((visibility("default"))) int __libc_start_main(main_fn *program, int argc,
                                                             char **argv, void (*init)(void),
                                                             void (*fini)(void),
                                                             void (*rtld_fini)(void),
                                                             void *stack_end) {
  union {
    void *symbol;
    start_fn *function;
  } next = {dlsym(RTLD_NEXT, "__libc_start_main")};
  if (!next.symbol) abort();
  return next.function(is_asked_for(argc, argv) ? hosted_main : program, argc, argv, init, fini,
                       rtld_fini, stack_end);
}
