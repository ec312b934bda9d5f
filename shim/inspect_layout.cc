/* SPDX-License-Identifier: MIT
 *
 * inspect_layout.cc: how formatted entries are laid out in lines, as Node's util.inspect does with
 * its default `compact: 3`: few short entries on one line, many short ones of an array in columns,
 * else one per line. It knows no values.
 */
#include <algorithm>
#include <cmath>

#include "shim/inspect.hh"

namespace kv8 {
namespace {

constexpr size_t kCompact = 3;       /* levels that may share a line */
constexpr size_t kGroupMoreThan = 6; /* entries */
constexpr size_t kColumnsMax = 15;
constexpr size_t kSeparator = 2;         /* ", " */
constexpr size_t kLineReserve = 10;      /* what Node keeps free for the key before the value */
constexpr double kCharacterHeight = 2.5; /* in character widths: columns aim at a square */

void PadTo(std::u16string *line, std::u16string_view cell, size_t width, size_t cell_width,
           Padding padding) {
  std::u16string blanks(width > cell_width ? width - cell_width : 0, u' ');
  if (padding == Padding::kStart) *line += blanks;
  *line += cell;
  if (padding == Padding::kEnd) *line += blanks;
}

size_t Columns(const Layout &layout, const std::vector<size_t> &widths, size_t entry_count) {
  size_t total = 0;
  size_t longest = 0;
  for (size_t width : widths) {
    total += width + kSeparator;
    longest = std::max(longest, width);
  }
  double cell = static_cast<double>(longest + kSeparator);
  /* Three must fit side by side, and none may be much longer than the rest. */
  if (cell * 3 + static_cast<double>(layout.indentation) >=
          static_cast<double>(layout.break_length) ||
      (static_cast<double>(total) / cell <= 5 && longest > 6)) {
    return 1;
  }
  double bias = std::sqrt(cell - static_cast<double>(total) / static_cast<double>(entry_count));
  double biased = std::max(cell - 3 - bias, 1.0);
  double square = std::floor(
      std::sqrt(kCharacterHeight * biased * static_cast<double>(widths.size())) / biased + 0.5);
  double fitting = std::floor(static_cast<double>(layout.break_length - layout.indentation) / cell);
  double columns = std::min(
      {square, fitting, static_cast<double>(kCompact * 4), static_cast<double>(kColumnsMax)});
  return columns <= 1 ? 1 : static_cast<size_t>(columns);
}

std::vector<std::u16string> Group(const Layout &layout, std::vector<std::u16string> entries,
                                  Padding padding) {
  /* The last one then says "... n more items". */
  bool has_rest = entries.size() > layout.max_array_length;
  size_t count = entries.size() - (has_rest ? 1 : 0);
  std::vector<size_t> widths(count);
  for (size_t i = 0; i < count; i++) widths[i] = TextWidth(entries[i]);
  size_t columns = Columns(layout, widths, entries.size());
  if (columns <= 1) return entries;
  std::vector<size_t> column_widths(columns, 0);
  for (size_t i = 0; i < count; i++) {
    size_t &width = column_widths[i % columns];
    width = std::max(width, widths[i] + kSeparator);
  }
  std::vector<std::u16string> lines;
  for (size_t i = 0; i < count; i += columns) {
    size_t end = std::min(i + columns, count);
    std::u16string line;
    for (size_t j = i; j + 1 < end; j++) {
      PadTo(&line, entries[j] + u", ", column_widths[j - i], widths[j] + kSeparator, padding);
    }
    if (padding == Padding::kStart) {
      PadTo(&line, entries[end - 1], column_widths[end - 1 - i] - kSeparator, widths[end - 1],
            padding);
    } else {
      line += entries[end - 1];
    }
    lines.push_back(std::move(line));
  }
  if (has_rest) lines.push_back(std::move(entries.back()));
  return lines;
}

bool FitsOneLine(const Layout &layout, const std::vector<std::u16string> &entries, size_t start,
                 const std::u16string &base) {
  size_t total = entries.size() + start;
  if (total + entries.size() > layout.break_length) return false;
  for (const std::u16string &entry : entries) {
    total += entry.size();
    if (total > layout.break_length || entry.find(u'\n') != entry.npos) return false;
  }
  return base.find(u'\n') == base.npos;
}

std::u16string Join(const std::vector<std::u16string> &entries, const std::u16string &separator) {
  std::u16string joined;
  for (size_t i = 0; i < entries.size(); i++) {
    if (i > 0) joined += separator;
    joined += entries[i];
  }
  return joined;
}

}  // namespace

std::u16string JoinEntries(const Layout &layout, std::vector<std::u16string> entries,
                           const std::u16string &base, const std::u16string &open,
                           const std::u16string &close, bool array_like, size_t level,
                           Padding padding) {
  std::u16string head = base.empty() ? open : base + u" " + open;
  size_t count = entries.size();
  if (array_like && count > kGroupMoreThan) {
    entries = Group(layout, std::move(entries), padding);
  }
  if (layout.current_depth - level < kCompact && entries.size() == count) {
    size_t start = count + layout.indentation + open.size() + base.size() + kLineReserve;
    if (FitsOneLine(layout, entries, start, base)) {
      return head + u" " + Join(entries, u", ") + u" " + close;
    }
  }
  std::u16string line_break = u"\n" + std::u16string(layout.indentation, u' ');
  return head + line_break + u"  " + Join(entries, u"," + line_break + u"  ") + line_break + close;
}

}  // namespace kv8
