/* SPDX-License-Identifier: MIT
 *
 * inspect.hh: values as text for people, as Node's util.inspect writes them: what console.cc and
 * json.cc share. Text is UTF-16 here, because the line breaking counts UTF-16 units.
 */
#ifndef KILN_SHIM_INSPECT_HH
#define KILN_SHIM_INSPECT_HH

#include <string>
#include <string_view>
#include <vector>

#include "shim/internal.hh"

namespace kv8 {

/* The most text one console call makes, in bytes of UTF-8; the rest is cut. */
constexpr size_t kLineMaxBytes = 64u << 10;

/* Defaults are Node's. */
struct InspectOptions {
  int depth = 2; /* negative: not even the value's own properties */
  bool show_hidden = false;
  bool show_proxy = false;
  size_t max_array_length = 100;
  size_t max_string_length = 10000;
  size_t break_length = 80;
};

/* The deepest `depth` a script may ask for: the formatter recurses. */
constexpr int kInspectMaxDepth = 32;

/* Formats one value. Runs no guest code but Error.prepareStackTrace, reads no getters, calls no
 * traps; ends early once the text is longer than a console call may print. */
std::u16string Inspect(v8::Isolate *isolate, v8::Local<v8::Context> context,
                       v8::Local<v8::Value> value, const InspectOptions &options);

/* ---- plain text (inspect_text.cc) ------------------------------------------------------------ */

/* At most `limit` units of a V8 string. */
std::u16string ToUtf16(v8::Isolate *isolate, v8::Local<v8::String> text, size_t limit);

/* UTF-8 of at most `max_bytes` bytes; what does not fit is cut and marked. Lone surrogates become
 * U+FFFD. */
std::string ToLine(std::u16string_view text, size_t max_bytes);

std::u16string FromAscii(std::string_view ascii);
std::u16string FromNumber(size_t number);

/* Quotes with ', ", or ` (whichever needs no escape) and escapes control characters. */
std::u16string QuoteText(std::u16string_view text);

/* Escapes as QuoteText() does, without quotes. */
std::u16string EscapeText(std::u16string_view text);

/* Columns on a terminal: wide characters count two, combining ones none. */
size_t TextWidth(std::u16string_view text);

/* Whether an object literal's key needs no quotes. */
bool IsPlainKey(std::u16string_view key);

/* "2026-11-20T21:30:00.000Z", or "Invalid Date". */
std::string IsoDate(double ms_since_epoch);

/* ---- layout (inspect_layout.cc) -----------------------------------------------------------------
 */

struct Layout {
  size_t indentation = 0;
  size_t break_length = 80;
  size_t current_depth = 0; /* of the object that was opened last */
  size_t max_array_length = 100;
};

enum class Padding { kStart, kEnd };

/* Puts entries on one line if they are few and short, each on its own otherwise. `level` is the
 * depth of the object they belong to, `array_like` allows grouping in columns, padded as
 * `padding` says. */
std::u16string JoinEntries(const Layout &layout, std::vector<std::u16string> entries,
                           const std::u16string &base, const std::u16string &open,
                           const std::u16string &close, bool array_like, size_t level,
                           Padding padding);

/* ---- facts about objects, without running code (inspect_text.cc) -------------------------------
 */

/* "Uint8Array", "DataView", ... */
const char *ViewName(v8::Local<v8::ArrayBufferView> view);

/* "gi", in the order of RegExp.prototype.flags. */
std::string RegExpFlags(v8::Local<v8::RegExp> regexp);

/* ---- printf-like formatting (format.cc)
 * ----------------------------------------------------------- */

/* Formats console arguments as Node's util.format does. Conversions may run the guest's toString,
 * valueOf and toJSON; false: an exception or termination is pending. */
bool FormatArguments(v8::Isolate *isolate, v8::Local<v8::Context> context,
                     const std::vector<v8::Local<v8::Value>> &arguments, std::u16string *ret_text);

/* ---- console.table (table.cc)
 * ---------------------------------------------------------------------- */

/* Draws the table; false if the value is not an object and is to be logged as it is. `columns`
 * may be empty. */
bool FormatTable(v8::Isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::Value> data,
                 v8::Local<v8::Value> columns, std::u16string *ret_text);

/* A property as its descriptor says, without calling anything. */
struct Property {
  enum Kind { kNone, kData, kGetter, kSetter, kGetterSetter, kThrew };
  Kind kind = kNone;
  bool enumerable = false;
  v8::Local<v8::Value> value; /* of kData; the getter of kGetter and kGetterSetter */
};
Property ReadProperty(v8::Isolate *isolate, v8::Local<v8::Context> context,
                      v8::Local<v8::Object> object, v8::Local<v8::Name> key);

/* The same, up the prototype chain as far as it has no proxy. */
Property FindProperty(v8::Isolate *isolate, v8::Local<v8::Context> context,
                      v8::Local<v8::Object> object, v8::Local<v8::Name> key);

}  // namespace kv8

#endif
