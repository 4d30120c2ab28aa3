// All three products of `linear`: y = x · Wᵀ + b, d_x = d_y · W, d_W = d_yᵀ · x. They differ in strides only.

#import product
#import product_b
