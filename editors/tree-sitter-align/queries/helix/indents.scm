[
  (recipe_body)
  (objective_body)
  (stage_body)
  (profile_body)
  (parameters)
  (arguments)
  (record)
  (record_type)
  (list)
  (group)
  (used)
] @indent

["}" ")" "]"] @outdent
