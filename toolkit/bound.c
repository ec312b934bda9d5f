/* SPDX-License-Identifier: MIT
 *
 * bound.c: kiln-bound IN OUT [LIBRARY...]: a tool of the build. Copies a shared library and binds
 * what it refers to in itself to itself, as a linker's -Bsymbolic would have. Of the libraries it
 * needs it leaves out those whose names begin so.
 *
 * libnode has 60,000 references to functions and tables of its own by name, and ld.so looks each of
 * them up at every start: two thirds of the time that a small program takes. In the copy they are
 * relative relocations, which are an addition each. Code, data and build id stay as they are.
 *
 * Most of the rest was for libraries that Node has a use for and V8 has none, OpenSSL above all.
 * What refers to them is weak in the copy and finds nothing: only Node's own functions, which
 * nobody calls, would. Nor is their code in the processes that run code nobody trusts. A library
 * that cannot be loaded without them keeps them all.
 *
 * Left alone is what must be one for the whole process: unique symbols, weak data other than tables
 * of C++ classes, operators new and delete, thread-local and indirect ones.
 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
enum { RELATIVE = R_X86_64_RELATIVE, ABSOLUTE = R_X86_64_64 };
enum { GLOBAL_DATA = R_X86_64_GLOB_DAT, JUMP_SLOT = R_X86_64_JUMP_SLOT };
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
enum { RELATIVE = R_AARCH64_RELATIVE, ABSOLUTE = R_AARCH64_ABS64 };
enum { GLOBAL_DATA = R_AARCH64_GLOB_DAT, JUMP_SLOT = R_AARCH64_JUMP_SLOT };
#else
#error "which relocations does this machine have?"
#endif

typedef struct image {
  uint8_t *data;
  size_t size;
  const Elf64_Phdr *segments;
  size_t segments_count;
  Elf64_Dyn *dynamic;
  Elf64_Sym *symbols;
  const char *names;
} image;

static void die(const char *file, const char *why) {
  fprintf(stderr, "kiln-bound: '%s': %s\n", file, why);
  exit(1);
}

/* The bytes that are mapped at an address; NULL: none, or fewer than `size`. */
static void *at(const image *it, Elf64_Addr address, size_t size) {
  for (size_t i = 0; i < it->segments_count; i++) {
    const Elf64_Phdr *segment = &it->segments[i];
    if (segment->p_type != PT_LOAD || address < segment->p_vaddr ||
        address - segment->p_vaddr >= segment->p_filesz ||
        segment->p_filesz - (address - segment->p_vaddr) < size) {
      continue;
    }
    Elf64_Off offset = segment->p_offset + (address - segment->p_vaddr);
    return offset <= it->size && size <= it->size - offset ? it->data + offset : NULL;
  }
  return NULL;
}

static Elf64_Dyn *entry(const image *it, Elf64_Sxword tag) {
  for (Elf64_Dyn *at_ = it->dynamic; at_->d_tag != DT_NULL; at_++) {
    if (at_->d_tag == tag) return at_;
  }
  return NULL;
}

static Elf64_Xword value(const image *it, Elf64_Sxword tag) {
  const Elf64_Dyn *found = entry(it, tag);
  return found == NULL ? 0 : found->d_un.d_val;
}

static bool starts(const char *name, const char *beginning) {
  return strncmp(name, beginning, strlen(beginning)) == 0;
}

static bool is_own(const image *it, const Elf64_Sym *symbol) {
  unsigned bind = ELF64_ST_BIND(symbol->st_info), type = ELF64_ST_TYPE(symbol->st_info);
  const char *name = it->names + symbol->st_name;
  if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE) return false;
  if (type != STT_FUNC && type != STT_OBJECT) return false;
  if (starts(name, "_Zn") || starts(name, "_Zd")) return false;
  if (bind == STB_GLOBAL) return true;
  if (bind != STB_WEAK) return false;
  return type == STT_FUNC || starts(name, "_ZTV") || starts(name, "_ZTI") || starts(name, "_ZTS");
}

/* Binds what can be; the number of those. */
static size_t bind_table(const image *it, Elf64_Rela *table, size_t count) {
  size_t bound = 0;
  for (size_t i = 0; i < count; i++) {
    unsigned type = (unsigned)ELF64_R_TYPE(table[i].r_info);
    if (type != ABSOLUTE && type != GLOBAL_DATA && type != JUMP_SLOT) continue;
    const Elf64_Sym *symbol = &it->symbols[ELF64_R_SYM(table[i].r_info)];
    if (!is_own(it, symbol)) continue;
    Elf64_Sxword addend = type == ABSOLUTE ? table[i].r_addend : 0;
    table[i].r_addend = (Elf64_Sxword)symbol->st_value + addend;
    table[i].r_info = ELF64_R_INFO(0, RELATIVE);
    bound++;
  }
  return bound;
}

/* ld.so is quickest with relative ones in front. */
static size_t relative_first(Elf64_Rela *table, size_t count) {
  size_t front = 0;
  for (size_t i = 0; i < count; i++) {
    if (ELF64_R_TYPE(table[i].r_info) != RELATIVE) continue;
    Elf64_Rela moved = table[i];
    table[i] = table[front];
    table[front++] = moved;
  }
  return front;
}

static size_t bind_image(image *it) {
  size_t rela_size = value(it, DT_RELASZ), slots_size = value(it, DT_PLTRELSZ);
  Elf64_Rela *rela = at(it, value(it, DT_RELA), rela_size);
  Elf64_Rela *slots = at(it, value(it, DT_JMPREL), slots_size);
  size_t bound = 0;
  if (rela != NULL) {
    size_t count = rela_size / sizeof(*rela);
    bound += bind_table(it, rela, count);
    Elf64_Dyn *relative = entry(it, DT_RELACOUNT);
    if (relative != NULL) relative->d_un.d_val = relative_first(rela, count);
  }
  /* Those of a library that is bound lazily wait for their first call. */
  if (slots != NULL && value(it, DT_PLTREL) == DT_RELA &&
      ((value(it, DT_FLAGS) & DF_BIND_NOW) != 0 || (value(it, DT_FLAGS_1) & DF_1_NOW) != 0)) {
    bound += bind_table(it, slots, slots_size / sizeof(*slots));
  }
  return bound;
}

/* ---- libraries left out ------------------------------------------------------------------------
 */

typedef struct leaving {
  char **libraries; /* beginnings of names */
  size_t libraries_count;
  void *handles[16]; /* of those found */
  size_t count;
} leaving;

static bool leaves(const leaving *left, const char *library) {
  for (size_t i = 0; i < left->libraries_count; i++) {
    if (starts(library, left->libraries[i])) return true;
  }
  return false;
}

/* Takes them from what is to be loaded. */
static void leave_out_needed(const image *it, leaving *left) {
  Elf64_Dyn *to = it->dynamic;
  for (const Elf64_Dyn *from = it->dynamic;; from++) {
    if (from->d_tag == DT_NEEDED && leaves(left, it->names + from->d_un.d_val)) {
      const char *library = it->names + from->d_un.d_val;
      void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
      if (handle == NULL || left->count == sizeof(left->handles) / sizeof(left->handles[0])) {
        die(library, "cannot be loaded, or is one too many");
      }
      left->handles[left->count++] = handle;
      continue;
    }
    *to++ = *from;
    if (from->d_tag == DT_NULL) break;
  }
}

/* Takes the versions that are asked of them from the list: ld.so wants each library of it loaded.
 */
static void leave_out_versions(const image *it, const leaving *left) {
  Elf64_Dyn *first = entry(it, DT_VERNEED), *number = entry(it, DT_VERNEEDNUM);
  if (first == NULL || number == NULL) return;
  Elf64_Verneed *kept = NULL;
  Elf64_Addr address = first->d_un.d_ptr, kept_address = 0;
  size_t count = number->d_un.d_val;
  for (size_t i = 0; i < count; i++) {
    Elf64_Verneed *need = at(it, address, sizeof(*need));
    if (need == NULL) die("versions", "outside the file");
    Elf64_Word next = need->vn_next;
    if (leaves(left, it->names + need->vn_file)) {
      number->d_un.d_val--;
    } else {
      if (kept == NULL) {
        first->d_un.d_ptr = address;
      } else {
        kept->vn_next = (Elf64_Word)(address - kept_address);
      }
      kept = need;
      kept_address = address;
    }
    address += next;
  }
  if (kept != NULL) kept->vn_next = 0;
}

/* Whether one of them has it; what they need themselves has not. */
static bool have(const leaving *left, const char *name) {
  for (size_t i = 0; i < left->count; i++) {
    struct link_map *map;
    Dl_info info;
    const void *found = dlsym(left->handles[i], name);
    if (found != NULL && dlinfo(left->handles[i], RTLD_DI_LINKMAP, &map) == 0 &&
        dladdr(found, &info) != 0 && strcmp(info.dli_fname, map->l_name) == 0)
      return true;
  }
  return false;
}

static void leave_out(const image *it, leaving *left) {
  leave_out_needed(it, left);
  if (left->count == 0) return;
  leave_out_versions(it, left);
  if (it->names < (const char *)it->symbols) die("symbols", "in another order");
  /* Their names stand behind the symbols: that is how many there are. */
  size_t count = (size_t)(it->names - (const char *)it->symbols) / sizeof(*it->symbols);
  Elf64_Half *versions = at(it, value(it, DT_VERSYM), count * sizeof(*versions));
  if (versions == NULL) die("versions", "outside the file");
  for (size_t i = 1; i < count; i++) {
    Elf64_Sym *symbol = &it->symbols[i];
    if (symbol->st_shndx != SHN_UNDEF || !have(left, it->names + symbol->st_name)) continue;
    symbol->st_info = ELF64_ST_INFO(STB_WEAK, ELF64_ST_TYPE(symbol->st_info));
    versions[i] = VER_NDX_GLOBAL;
  }
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static bool read_image(image *it) {
  const Elf64_Ehdr *head = (const Elf64_Ehdr *)it->data;
  if (it->size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
      head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
      head->e_machine != MACHINE || head->e_phoff > it->size ||
      head->e_phnum > (it->size - head->e_phoff) / sizeof(Elf64_Phdr)) {
    return false;
  }
  it->segments = (const Elf64_Phdr *)(it->data + head->e_phoff);
  it->segments_count = head->e_phnum;
  for (size_t i = 0; i < it->segments_count; i++) {
    if (it->segments[i].p_type != PT_DYNAMIC) continue;
    it->dynamic = at(it, it->segments[i].p_vaddr, it->segments[i].p_filesz);
  }
  if (it->dynamic == NULL) return false;
  it->symbols = at(it, value(it, DT_SYMTAB), sizeof(Elf64_Sym));
  it->names = at(it, value(it, DT_STRTAB), value(it, DT_STRSZ));
  return it->symbols != NULL && it->names != NULL;
}

/* Copies `from` to `to`, bound and without what is to be left out; the number of symbols bound. */
static size_t copy(const char *from, const char *to, leaving *left) {
  image it = {NULL, 0, NULL, 0, NULL, NULL, NULL};
  struct stat info;
  int in = open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0 || fstat(in, &info) != 0) die(from, "cannot be read");
  it.size = (size_t)info.st_size;
  it.data = mmap(NULL, it.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, in, /* offset= */ 0);
  if (it.data == MAP_FAILED || !read_image(&it)) die(from, "no shared library of this machine");
  (void)close(in);
  size_t bound = bind_image(&it);
  leave_out(&it, left);
  FILE *out = fopen(to, "wb");
  if (out == NULL || fwrite(it.data, 1, it.size, out) != it.size || fclose(out) != 0) {
    die(to, "cannot be written");
  }
  (void)munmap(it.data, it.size);
  return bound;
}

/* Whether a process survives loading it: constructors of objects call functions, too. */
static bool loads(const char *file) {
  char *path = realpath(file, /* resolved= */ NULL); /* else it might be looked for elsewhere */
  pid_t child = path == NULL ? -1 : fork();
  if (child == 0) _exit(dlopen(path, RTLD_NOW | RTLD_LOCAL) != NULL ? EXIT_SUCCESS : EXIT_FAILURE);
  int status = -1;
  bool good = child > 0 && waitpid(child, &status, /* options= */ 0) == child && status == 0;
  free(path);
  return good;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  leaving left = {.libraries = argv + 3, .libraries_count = (size_t)argc - 3};
  size_t bound = copy(argv[1], argv[2], &left);
  if (left.count > 0 && !loads(argv[2])) {
    left = (leaving){.libraries_count = 0};
    bound = copy(argv[1], argv[2], &left);
  }
  printf("%zu symbols bound, %zu libraries left out\n", bound, left.count);
  return 0;
}
