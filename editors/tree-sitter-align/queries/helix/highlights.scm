; As ../highlights.scm, with Helix's names.

(comment) @comment.line
(doc_comment) @comment.line.documentation

["use"] @keyword.control.import
["fn" "stage" "objective" "recipe" "profile"] @keyword.function
["type" "param"] @keyword.storage.type
["extern" "trained"] @keyword.storage.modifier
["if" "then" "else"] @keyword.control.conditional
["repeat" "sweep" "carrying" "until" "keep"] @keyword.control.repeat
["expect" "gate" "export" "loss" "metric" "state" "limit" "weighted" "for" "with"] @keyword
["and" "or" "not" "in" "as" "to"] @keyword.operator

(function_name) @function
(binding_name) @variable
(parameter_name) @variable.parameter
(argument_name) @variable.parameter
(column_name) @variable.other.member
(module) @namespace
(used_name) @function
(word) @constant
(type_identifier) @type

((identifier) @constant.builtin.boolean
  (#any-of? @constant.builtin.boolean "true" "false"))
((identifier) @constant.builtin
  (#eq? @constant.builtin "none"))
((identifier) @variable.builtin
  (#eq? @variable.builtin "model"))
((identifier) @variable
  (#not-any-of? @variable "true" "false" "none" "model"))

(number) @constant.numeric
(raw_text) @string.regexp
(text ["\""] @string)
(block_text ["\"\"\""] @string)
(text_content) @string
(escape) @constant.character.escape
(hole ["{" "}"] @punctuation.special)

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
