(function body: (_) @function.inside) @function.around
(stage body: (_) @function.inside) @function.around
(objective body: (_) @function.inside) @function.around
(recipe body: (_) @function.inside) @function.around
(profile body: (_) @function.inside) @function.around

(parameter) @parameter.inside
(named_argument) @parameter.inside

[(comment) (doc_comment)] @comment.inside
(comment)+ @comment.around
(doc_comment)+ @comment.around
