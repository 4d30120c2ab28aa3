// The rows of a table by token id.

#import chosen_rows
