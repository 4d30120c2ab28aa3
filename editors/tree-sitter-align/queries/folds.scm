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
  (block_text)
  (used)
] @fold

(doc_comment)+ @fold
(comment)+ @fold
