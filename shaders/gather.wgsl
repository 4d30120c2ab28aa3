// The rows of a matrix by number.

#import chosen_rows
