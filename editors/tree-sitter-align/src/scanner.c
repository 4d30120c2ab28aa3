// The tokens that depend on more than their own characters: brackets on the line of what they apply to, line breaks
// before the result of a stage, comments (`//`, `////`) beside documentation (`///`), and the insides of texts.
// It keeps no state.

#include "tree_sitter/parser.h"

#include <string.h>

// In the order of `externals` in grammar.js.
enum Token { CALL, LINE_BREAK, COMMENT, DOC_COMMENT, LINE_CHARS, BLOCK_CHARS, DOTS, RECOVERY };

// A line that begins with one of these goes on with the expression before it.
static const char *const CARRIES_ON[] = {"and", "or", "as",       "in",       "to",    "then",
                                         "else", "weighted", "carrying", "until", "keep"};

static bool is_blank(int32_t c) { return c == ' ' || c == '\t' || c == '\r'; }

static bool is_digit(int32_t c) { return c >= '0' && c <= '9'; }

static bool is_letter(int32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// The characters of a one-line text up to a quote, a brace, an escape or the line's end.
static bool scan_line_chars(TSLexer *lexer) {
    bool any = false;
    while (!lexer->eof(lexer) && lexer->lookahead != '"' && lexer->lookahead != '\\' && lexer->lookahead != '{' &&
           lexer->lookahead != '}' && lexer->lookahead != '\n') {
        lexer->advance(lexer, false);
        any = true;
    }
    lexer->mark_end(lexer);
    lexer->result_symbol = LINE_CHARS;
    return any;
}

// The characters of a block up to three quotes, a brace or an escape.
static bool scan_block_chars(TSLexer *lexer) {
    bool any = false;
    lexer->mark_end(lexer);
    lexer->result_symbol = BLOCK_CHARS;
    while (!lexer->eof(lexer) && lexer->lookahead != '\\' && lexer->lookahead != '{' && lexer->lookahead != '}') {
        if (lexer->lookahead == '"') {
            for (int quotes = 0; quotes < 3; quotes++) {
                if (lexer->lookahead != '"') break;
                if (quotes == 2) return any;
                lexer->advance(lexer, false);
            }
        } else {
            lexer->advance(lexer, false);
        }
        lexer->mark_end(lexer);
        any = true;
    }
    return any;
}

// Whether what follows begins a statement rather than going on with the expression before it.
static bool begins_statement(TSLexer *lexer) {
    if (!is_letter(lexer->lookahead)) {
        return is_digit(lexer->lookahead) || lexer->lookahead == '"' || lexer->lookahead == '(' || lexer->lookahead == '[' ||
               lexer->lookahead == '{';
    }
    char word[16] = {0};
    for (size_t length = 0; is_letter(lexer->lookahead) || is_digit(lexer->lookahead); length++) {
        if (length + 1 < sizeof word) word[length] = (char)lexer->lookahead;
        lexer->advance(lexer, false);
    }
    for (size_t at = 0; at < sizeof CARRIES_ON / sizeof *CARRIES_ON; at++) {
        if (strcmp(word, CARRIES_ON[at]) == 0) return false;
    }
    return true;
}

// At a slash: a comment, documentation, or neither. Documentation is found also where it has no place.
static bool scan_comment(TSLexer *lexer, bool at_new_line, const bool *valid) {
    int slashes = 0;
    while (slashes < 4 && lexer->lookahead == '/') {
        lexer->advance(lexer, false);
        slashes++;
    }
    if (slashes < 2) return false;
    bool is_doc = slashes == 3;
    if (is_doc && at_new_line && valid[LINE_BREAK]) {
        lexer->result_symbol = LINE_BREAK; // its end was marked before the blanks
        return true;
    }
    lexer->mark_end(lexer);
    while (!lexer->eof(lexer) && lexer->lookahead != '\n') {
        bool blank = is_blank(lexer->lookahead);
        lexer->advance(lexer, false);
        if (!blank) lexer->mark_end(lexer);
    }
    lexer->result_symbol = is_doc ? DOC_COMMENT : COMMENT;
    return true;
}

// `...`, also where it has no place: there it is a mistake, and not `..` before something else.
static bool scan_dots(TSLexer *lexer) {
    for (int dots = 0; dots < 3; dots++) {
        if (lexer->lookahead != '.') return false;
        lexer->advance(lexer, false);
    }
    lexer->mark_end(lexer);
    lexer->result_symbol = DOTS;
    return true;
}

bool tree_sitter_align_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
    (void)payload;
    bool known[RECOVERY + 1];
    memcpy(known, valid, sizeof known);
    if (known[RECOVERY]) {
        // Everything is said to be valid: only what can be told by itself is.
        known[CALL] = known[LINE_BREAK] = known[LINE_CHARS] = known[BLOCK_CHARS] = false;
    }
    if (known[LINE_CHARS]) return scan_line_chars(lexer);
    if (known[BLOCK_CHARS]) return scan_block_chars(lexer);

    lexer->mark_end(lexer);
    bool at_new_line = false;
    while (is_blank(lexer->lookahead) || lexer->lookahead == '\n') {
        at_new_line |= lexer->lookahead == '\n';
        lexer->advance(lexer, true);
    }
    if (lexer->lookahead == '/') return scan_comment(lexer, at_new_line, known);
    if (lexer->lookahead == '.') return scan_dots(lexer);
    if (!at_new_line && known[CALL] && lexer->lookahead == '(') {
        lexer->advance(lexer, false);
        lexer->mark_end(lexer);
        lexer->result_symbol = CALL;
        return true;
    }
    if (at_new_line && known[LINE_BREAK] && begins_statement(lexer)) {
        lexer->result_symbol = LINE_BREAK;
        return true;
    }
    return false;
}

void *tree_sitter_align_external_scanner_create(void) { return NULL; }

void tree_sitter_align_external_scanner_destroy(void *payload) { (void)payload; }

unsigned tree_sitter_align_external_scanner_serialize(void *payload, char *buffer) {
    (void)payload;
    (void)buffer;
    return 0;
}

void tree_sitter_align_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
    (void)payload;
    (void)buffer;
    (void)length;
}
