/* SPDX-License-Identifier: MIT
 *
 * table.cc: console.table, drawn as Node draws it. Getters of the rows are not called; a cell that
 * is one says so.
 */
#include <algorithm>
#include <map>

#include "shim/inspect.hh"

namespace kv8 {
namespace {

constexpr size_t kCellItems = 3; /* of an array shown in a cell */
constexpr size_t kColumnsMax = 256;
constexpr size_t kContentMax = kLineMaxBytes; /* units of all cells; more could not be shown */

struct Column {
  std::u16string head;
  std::map<size_t, std::u16string> cells; /* by row; most tables have no gaps */
  size_t width = 0;
};

/* The array index a name is; past all of them for any other name. */
uint64_t IndexOf(const std::u16string &name) {
  constexpr uint64_t kNone = UINT32_MAX;
  uint64_t index = 0;
  for (char16_t unit : name) {
    if (unit < u'0' || unit > u'9' || index >= kNone) return kNone;
    index = index * 10 + (unit - u'0');
  }
  return name.empty() || (name[0] == u'0' && name.size() > 1) ? kNone : std::min(index, kNone);
}

class Table {
 public:
  Table(v8::Isolate *isolate, v8::Local<v8::Context> context)
      : isolate_(isolate), context_(context) {}

  void FromCollection(v8::Local<v8::Object> object) {
    bool in_pairs = object->IsMap();
    v8::Local<v8::Array> items;
    if (object->IsMap()) {
      items = object.As<v8::Map>()->AsArray();
    } else if (object->IsSet()) {
      items = object.As<v8::Set>()->AsArray();
    } else if (!object->PreviewEntries(&in_pairs).ToLocal(&items)) {
      return;
    }
    AddColumn(u"(iteration index)");
    if (in_pairs) AddColumn(u"Key");
    AddColumn(u"Values");
    uint32_t step = in_pairs ? 2 : 1;
    for (uint32_t i = 0; (i + 1) * step <= items->Length() && !Full(); i++) {
      v8::HandleScope scope(isolate_);
      Put(0, i, FromNumber(i));
      for (uint32_t j = 0; j < step; j++) {
        v8::Local<v8::Value> item;
        if (!items->Get(context_, i * step + j).ToLocal(&item)) return;
        Put(j + 1, i, Cell(item));
      }
      rows_ = i + 1;
    }
  }

  void FromRows(v8::Local<v8::Object> data, v8::Local<v8::Value> wanted) {
    AddColumn(u"(index)");
    std::vector<v8::Local<v8::Name>> chosen;
    bool choose = !wanted.IsEmpty() && wanted->IsArray();
    if (choose) chosen = Chosen(wanted.As<v8::Array>());
    Column values;
    values.head = u"Values";
    for (v8::Local<v8::Name> key : Keys(data)) {
      if (Full()) break;
      size_t row = rows_++;
      Put(0, row, NameText(key));
      Property property = ReadProperty(isolate_, context_, data, key);
      bool is_object = property.kind == Property::kData && property.value->IsObject() &&
                       !property.value->IsProxy();
      if (!is_object && !choose) {
        values.cells[row] = CellOf(property);
        produced_ += values.cells[row].size();
        continue;
      }
      std::vector<v8::Local<v8::Name>> names =
          choose ? chosen : Keys(property.value.As<v8::Object>());
      for (v8::Local<v8::Name> name : names) {
        Property field;
        if (is_object) {
          field = ReadProperty(isolate_, context_, property.value.As<v8::Object>(), name);
        }
        Put(ColumnOf(NameText(name)), row,
            field.kind == Property::kNone ? std::u16string() : CellOf(field));
      }
    }
    /* Node collects the names in an object, which puts those that are indices first. */
    std::stable_sort(columns_.begin() + 1, columns_.end(), [](const Column &a, const Column &b) {
      return IndexOf(a.head) < IndexOf(b.head);
    });
    if (!values.cells.empty()) columns_.push_back(std::move(values));
  }

  std::u16string Draw() {
    for (Column &column : columns_) {
      column.width = TextWidth(column.head);
      for (const auto &[row, text] : column.cells) {
        column.width = std::max(column.width, TextWidth(text));
      }
    }
    std::u16string out = Rule(u'┌', u'┬', u'┐') + u"\n";
    out += Row([](const Column &column) { return column.head; });
    out += Rule(u'├', u'┼', u'┤') + u"\n";
    for (size_t row = 0; row < rows_ && out.size() <= kLineMaxBytes; row++) {
      out += Row([row](const Column &column) {
        auto at = column.cells.find(row);
        return at == column.cells.end() ? std::u16string() : at->second;
      });
    }
    return out + Rule(u'└', u'┴', u'┘');
  }

 private:
  bool Full() const {
    return produced_ > kContentMax;
  }

  void AddColumn(const char16_t *head) {
    columns_.emplace_back().head = head;
  }

  size_t ColumnOf(const std::u16string &head) {
    auto [at, is_new] = by_head_.try_emplace(head, columns_.size());
    if (is_new) {
      if (columns_.size() >= kColumnsMax) { /* the last one takes what is left */
        at->second = columns_.size() - 1;
      } else {
        columns_.emplace_back().head = head;
      }
    }
    return at->second;
  }

  void Put(size_t column, size_t row, std::u16string text) {
    produced_ += text.size() + 1;
    columns_[column].cells[row] = std::move(text);
  }

  std::u16string NameText(v8::Local<v8::Name> name) {
    return ToUtf16(isolate_, name.As<v8::String>(), kLineMaxBytes);
  }

  std::vector<v8::Local<v8::Name>> Keys(v8::Local<v8::Object> object) {
    std::vector<v8::Local<v8::Name>> names;
    v8::TryCatch quiet(isolate_);
    v8::Local<v8::Array> keys;
    if (object
            ->GetOwnPropertyNames(
                context_,
                static_cast<v8::PropertyFilter>(v8::PropertyFilter::ONLY_ENUMERABLE |
                                                v8::PropertyFilter::SKIP_SYMBOLS),
                v8::KeyConversionMode::kConvertToString)
            .ToLocal(&keys)) {
      uint32_t count = std::min<uint32_t>(keys->Length(), kContentMax);
      for (uint32_t i = 0; i < count; i++) {
        v8::Local<v8::Value> key;
        if (keys->Get(context_, i).ToLocal(&key)) names.push_back(key.As<v8::Name>());
      }
    }
    return names;
  }

  /* The columns the script asked for; what is no string is no name. */
  std::vector<v8::Local<v8::Name>> Chosen(v8::Local<v8::Array> wanted) {
    std::vector<v8::Local<v8::Name>> names;
    for (v8::Local<v8::Name> index : Keys(wanted)) {
      Property property = ReadProperty(isolate_, context_, wanted, index);
      if (property.kind == Property::kData && property.value->IsString()) {
        names.push_back(property.value.As<v8::Name>());
      }
      if (names.size() >= kColumnsMax) break;
    }
    return names;
  }

  std::u16string CellOf(const Property &property) {
    if (property.kind == Property::kData) return Cell(property.value);
    return property.kind == Property::kSetter         ? u"[Setter]"
           : property.kind == Property::kGetterSetter ? u"[Getter/Setter]"
                                                      : u"[Getter]";
  }

  /* Objects with more than two keys, and what is in others, are named only. */
  std::u16string Cell(v8::Local<v8::Value> value) {
    InspectOptions options;
    options.max_array_length = kCellItems;
    options.break_length = kLineMaxBytes * 4;
    bool large = value->IsObject() && !value->IsFunction() && !value->IsArray() &&
                 !value->IsProxy() && Keys(value.As<v8::Object>()).size() > 2;
    options.depth = large ? -1 : 0;
    return Inspect(isolate_, context_, value, options);
  }

  std::u16string Rule(char16_t left, char16_t middle, char16_t right) {
    std::u16string line(1, left);
    for (size_t i = 0; i < columns_.size() && line.size() <= kLineMaxBytes; i++) {
      if (i > 0) line += middle;
      line.append(columns_[i].width + 2, u'─');
    }
    return line + right;
  }

  template <class TextOf>
  std::u16string Row(TextOf &&text_of) {
    std::u16string line = u"│ ";
    for (size_t i = 0; i < columns_.size() && line.size() <= kLineMaxBytes; i++) {
      if (i > 0) line += u" │ ";
      std::u16string text = text_of(columns_[i]);
      size_t free = columns_[i].width - TextWidth(text);
      line.append(free / 2, u' ');
      line += text;
      line.append(free - free / 2, u' ');
    }
    return line + u" │\n";
  }

  v8::Isolate *const isolate_;
  const v8::Local<v8::Context> context_;
  std::vector<Column> columns_;
  std::map<std::u16string, size_t> by_head_;
  size_t rows_ = 0;
  size_t produced_ = 0;
};

}  // namespace

bool FormatTable(v8::Isolate *isolate, v8::Local<v8::Context> context, v8::Local<v8::Value> data,
                 v8::Local<v8::Value> columns, std::u16string *ret_text) {
  if (!data->IsObject() || data->IsFunction() || data->IsProxy()) return false;
  v8::HandleScope scope(isolate);
  v8::Local<v8::Object> object = data.As<v8::Object>();
  Table table(isolate, context);
  if (object->IsMap() || object->IsSet() || object->IsMapIterator() || object->IsSetIterator()) {
    table.FromCollection(object);
  } else {
    table.FromRows(object, columns);
  }
  *ret_text = table.Draw();
  return true;
}

}  // namespace kv8
