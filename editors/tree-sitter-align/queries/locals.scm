; Names that are bound in one item and cannot be seen from another. Bodies of rounds see what is around them.
[
  (source_file)
  (function)
  (objective)
  (stage)
  (extern_function)
  (extern_stage)
  (recipe)
  (repeat)
  (sweep)
] @local.scope

(param name: (parameter_name) @local.definition.parameter)
(parameter name: (parameter_name) @local.definition.parameter)
(binding name: (binding_name) @local.definition.var)
(state name: (binding_name) @local.definition.var)
(carried name: (binding_name) @local.definition.var)
(axis name: (binding_name) @local.definition.var)
(repeat counter: (binding_name) @local.definition.var)
(use (used (used_name) @local.definition.import))

(identifier) @local.reference
