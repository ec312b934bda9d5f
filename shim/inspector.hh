/* SPDX-License-Identifier: MIT
 *
 * inspector.hh: the class behind Inspect(): one walk over one value. Split over inspect.cc (the
 * walk), inspect_object.cc (what each kind of object looks like) and inspect_error.cc.
 */
#ifndef KILN_SHIM_INSPECTOR_HH
#define KILN_SHIM_INSPECTOR_HH

#include <optional>

#include "shim/inspect.hh"

namespace kv8 {

class Inspector {
 public:
  Inspector(v8::Isolate *isolate, v8::Local<v8::Context> context, const InspectOptions &options);

  /* `inside_view`: the buffer of a typed array, whose bytes have been shown already. */
  std::u16string Value(v8::Local<v8::Value> value, int level, bool inside_view = false);

 private:
  using Text = std::u16string;
  using Keys = std::vector<v8::Local<v8::Name>>;

  /* NULL stands for a null prototype. */
  using Constructor = std::optional<Text>;

  /* How an object's line begins and ends, and what there is to show in between. */
  struct Shape {
    enum Body {
      kPlain,
      kArray,
      kTypedArray,
      kSet,
      kMap,
      kIterator,
      kBuffer,
      kView,
      kPromise,
      kWeak,
      kNamespace,
    };
    Body body = kPlain;
    Text base;
    Text open = u"{";
    Text close = u"}";
    bool array_like = false;
    bool whole = false; /* `base` is all there is to say, at any depth */
    bool terse = false; /* `base` is all there is to say past the depth limit */
    Keys keys;
  };

  enum class KeyStyle { kNamed, kElement, kExtra };

  /* inspect.cc */
  Text Primitive(v8::Local<v8::Value> value);
  Text String(v8::Local<v8::String> string);
  Text Number(v8::Local<v8::Value> number);
  Text Symbol(v8::Local<v8::Symbol> symbol);
  Text Object(v8::Local<v8::Object> object, int level, bool inside_view);
  Text Proxy(v8::Local<v8::Proxy> proxy, int level);
  std::vector<Text> Body(const Shape &shape, v8::Local<v8::Object> object, int level);
  Text Member(v8::Local<v8::Object> object, v8::Local<v8::Name> key, KeyStyle style, int level);
  Text Nested(v8::Local<v8::Value> value, int level);
  void Elements(v8::Local<v8::Array> array, int level, std::vector<Text> *to);
  void SparseElements(v8::Local<v8::Array> array, uint32_t from, size_t limit, int level,
                      std::vector<Text> *to);
  void ViewElements(v8::Local<v8::TypedArray> view, int level, std::vector<Text> *to);
  void Entries(v8::Local<v8::Array> items, bool in_pairs, size_t limit, bool as_map, int level,
               std::vector<Text> *to);
  void BufferBytes(v8::Local<v8::Object> buffer, std::vector<Text> *to);
  Text Reduce(std::vector<Text> entries, const Text &base, const Text &open, const Text &close,
              bool array_like, int level, Padding padding);
  Padding PaddingOf(v8::Local<v8::Object> object, size_t count);

  /* inspect_object.cc */
  Shape ShapeOf(v8::Local<v8::Object> object, const Constructor &constructor, const Text &tag,
                bool inside_view);
  bool CollectionShape(v8::Local<v8::Object> object, const Constructor &constructor,
                       const Text &tag, Shape *shape);
  bool SpecialShape(v8::Local<v8::Object> object, const Constructor &constructor, const Text &tag,
                    bool inside_view, Shape *shape);
  Constructor ConstructorOf(v8::Local<v8::Object> object, int level);
  bool InstanceOf(v8::Local<v8::Object> object, v8::Local<v8::Function> function);
  static bool HasPrototype(v8::Local<v8::Object> object, v8::Local<v8::Value> prototype);
  Text TagOf(v8::Local<v8::Object> object);
  Keys KeysOf(v8::Local<v8::Object> object, bool skip_indices);
  Text Prefix(const Constructor &constructor, const Text &tag, const Text &fallback,
              const Text &size = Text()) const;
  Text Style(v8::Local<v8::Object> object, const Constructor &constructor, const Text &tag) const;
  Text FunctionBase(v8::Local<v8::Function> function, const Constructor &constructor,
                    const Text &tag);
  Text ClassBase(v8::Local<v8::Function> function, const Constructor &constructor, const Text &tag);
  Text BoxedBase(v8::Local<v8::Object> object, const Constructor &constructor, const Text &tag,
                 Keys *keys);
  Text OwnName(v8::Local<v8::Object> object);
  v8::Local<v8::Name> Key(const char *name) const {
    return Literal(isolate_, name);
  }

  /* inspect_error.cc */
  bool IsError(v8::Local<v8::Object> object);
  Text ErrorBase(v8::Local<v8::Object> error, const Constructor &constructor, const Text &tag,
                 Keys *keys);
  Text ErrorText(v8::Local<v8::Object> error, const Text &name);
  Text StackOf(v8::Local<v8::Object> error, const Text &name);
  Text StringProperty(v8::Local<v8::Object> object, const char *name, const Text &otherwise);
  Text ImproveStack(Text stack, const Constructor &constructor, const Text &name,
                    const Text &tag) const;
  Text WithoutCauseFrames(v8::Local<v8::Object> error, const Text &frames);

  /* Whether the text is longer than anyone will see. */
  bool Full() const noexcept {
    return produced_ > kLineMaxBytes * 2;
  }

  v8::Isolate *const isolate_;
  const v8::Local<v8::Context> context_;
  const InspectOptions options_;
  Layout layout_;
  std::vector<v8::Local<v8::Object>> seen_;      /* the objects around the current one */
  std::vector<v8::Global<v8::Object>> circular_; /* those met again, in order of their numbers */
  v8::Global<v8::Value> error_prototype_;        /* made when first needed */
  size_t produced_ = 0;
};

}  // namespace kv8

#endif
