// TOML by toml++, used as headers only and without exceptions: the shared library has no such form.
// The one C++ file of the tree; everything that is C++ stays inside of it.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

extern "C" {
#include "base/toml.h"
}

namespace {

struct entry {
    std::string_view section;
    std::string_view key;
    const toml::node *value;
    toml::source_position position; // of the key
};

lh_str borrowed(std::string_view text)
{
    return lh_str_of(text.data(), text.size());
}

// Adds the place to a failure.
lh_code at(toml::source_position position, lh_code code, lh_error *err)
{
    err->line = position.line;
    err->column = position.column;
    return code;
}

const char *kind_of(const toml::node &value)
{
    switch (value.type()) {
    case toml::node_type::table:
        return "a table";
    case toml::node_type::array:
        return "an array";
    case toml::node_type::floating_point:
        return "a number with a fraction";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
        return "a date or time";
    default:
        return "a value of an unknown kind";
    }
}

// The value as text, by way of `space` where it has none of its own.
bool value_text(const toml::node &value, std::string &space, std::string_view &out)
{
    if (const auto *text = value.as_string()) {
        out = text->get();
        return true;
    }
    if (const auto *integer = value.as_integer()) {
        char digits[24];
        auto end = std::to_chars(digits, digits + sizeof(digits), integer->get()).ptr;
        out = space.assign(digits, end);
        return true;
    }
    if (const auto *boolean = value.as_boolean()) {
        out = boolean->get() ? "true" : "false";
        return true;
    }
    return false;
}

// Keys of the document and of its sections. toml++ sorts them by name; the file's order is restored,
// so that the first mistake of the file is the one that is told.
std::vector<entry> entries_of(const toml::table &root)
{
    std::vector<entry> entries;
    for (auto &&[name, node] : root) {
        const toml::table *section = node.as_table();
        if (!section) {
            entries.push_back({"", name.str(), &node, name.source().begin});
            continue;
        }
        for (auto &&[key, value] : *section)
            entries.push_back({name.str(), key.str(), &value, key.source().begin});
        if (section->empty()) // tells an unknown section without keys
            entries.push_back({name.str(), "", nullptr, name.source().begin});
    }
    std::sort(entries.begin(), entries.end(),
              [](const entry &a, const entry &b) { return a.position < b.position; });
    return entries;
}

} // namespace

extern "C" lh_code lh_toml_parse(lh_str text, lh_toml_value on_value, void *ctx, lh_error *err)
{
    toml::parse_result document = toml::parse(std::string_view(text.ptr ? text.ptr : "", text.len));
    if (!document) {
        const toml::parse_error &error = document.error();
        std::string_view reason = error.description();
        return at(error.source().begin,
                  lh_fail(err, LH_INVALID_CONFIG, "%.*s", (int)reason.size(), reason.data()), err);
    }
    std::string space;
    for (const entry &item : entries_of(document.table())) {
        std::string_view value;
        if (item.value && !value_text(*item.value, space, value))
            return at(item.position,
                      lh_fail(err, LH_INVALID_CONFIG, "%.*s cannot be %s", (int)item.key.size(),
                              item.key.data(), kind_of(*item.value)),
                      err);
        lh_code code = on_value(ctx, borrowed(item.section), borrowed(item.key), borrowed(value),
                                item.position.line, item.position.column, err);
        if (code != LH_OK)
            return at(item.position, code, err);
    }
    return LH_OK;
}
