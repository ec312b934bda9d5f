/* SPDX-License-Identifier: MIT
 *
 * cli_bar.c: how far a command has come, on a terminal.
 */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "toolkit/cli.h"
#include "toolkit/service.h"

#define BAR 24
#define DRAW_EVERY_NS 50000000U
#define ERASE_LINE "\r\x1b[K"

void kiln__cli_bar_clear(const kiln__cli_bar *bar) {
  if (bar->shown && bar->drawn_ns != 0) fputs(ERASE_LINE, stderr);
}

void kiln__cli_bar_draw(kiln__cli_bar *bar, size_t finished, size_t count, size_t failed) {
  uint64_t now = kiln__now_ns();
  if (!bar->shown || now - bar->drawn_ns < DRAW_EVERY_NS) return;
  struct winsize window;
  int width = 80;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) width = window.ws_col;
  if (width < BAR + 40) return; /* it would wrap, and every drawing leave a line behind */
  char text[BAR + 1];
  memset(text, '.', BAR);
  memset(text, '#', count == 0 ? 0 : BAR * finished / count);
  text[BAR] = '\0';
  fprintf(stderr, ERASE_LINE "[%s] %zu of %zu", text, finished, count);
  if (failed > 0) fprintf(stderr, ", %zu failed", failed);
  fflush(stderr);
  bar->drawn_ns = now;
}
