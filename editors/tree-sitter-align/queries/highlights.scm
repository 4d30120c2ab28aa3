; What is coloured how. No token has two patterns, so the order in which a program prefers them does not matter.

; ── Comments ──

(comment) @comment
(doc_comment) @comment.documentation

; ── Words of the language ──

["use"] @keyword.import
["fn" "stage" "objective" "recipe" "profile"] @keyword.function
["type" "param"] @keyword.type
["extern" "trained"] @keyword.modifier
["if" "then" "else"] @keyword.conditional
["repeat" "sweep" "carrying" "until" "keep"] @keyword.repeat
["expect" "gate" "export" "loss" "metric" "state" "limit" "weighted" "for" "with"] @keyword
["and" "or" "not" "in" "as" "to"] @keyword.operator

; ── Names ──

(function_name) @function
(binding_name) @variable
(parameter_name) @variable.parameter
(argument_name) @variable.parameter
(column_name) @variable.member
(module) @module
(used_name) @function
(word) @constant
(type_identifier) @type

((identifier) @boolean
  (#any-of? @boolean "true" "false"))
((identifier) @constant.builtin
  (#eq? @constant.builtin "none"))
((identifier) @variable.builtin
  (#eq? @variable.builtin "model"))
((identifier) @variable
  (#not-any-of? @variable "true" "false" "none" "model"))

; ── Literals ──

(number) @number
(raw_text) @string.regexp
(text ["\""] @string)
(block_text ["\"\"\""] @string)
(text_content) @string
(escape) @string.escape
(hole ["{" "}"] @punctuation.special)

; ── Signs ──

["+" "-" "*" "/" "^" "==" "!=" "<=" ">=" "=" "->" ".." "..=" "|" "?"] @operator
(comparison ["<" ">"] @operator)
"..." @punctuation.special
(column "." @punctuation.delimiter)
(member "." @punctuation.delimiter)
(method_call "." @punctuation.delimiter)
(use "." @punctuation.delimiter)
["," ":"] @punctuation.delimiter
["(" ")" "[" "]"] @punctuation.bracket
(generics ["<" ">"] @punctuation.bracket)
(named_type ["<" ">"] @punctuation.bracket)
(record ["{" "}"] @punctuation.bracket)
(record_type ["{" "}"] @punctuation.bracket)
(used ["{" "}"] @punctuation.bracket)
(recipe_body ["{" "}"] @punctuation.bracket)
(objective_body ["{" "}"] @punctuation.bracket)
(stage_body ["{" "}"] @punctuation.bracket)
(profile_body ["{" "}"] @punctuation.bracket)
