// The soft cap of scores: cap · tanh(score / cap), where there is one.

#import squash

fn capped(scores: vec4<f32>) -> vec4<f32> {
    let cap = step.params.cap;
    if cap == 0.0 {
        return scores;
    }
    return cap * vec4(squash(scores.x / cap), squash(scores.y / cap), squash(scores.z / cap), squash(scores.w / cap));
}

/// The derivative by the score of what `capped` gave.
fn slope(capped: vec4<f32>) -> vec4<f32> {
    if step.params.cap == 0.0 {
        return vec4(1.0);
    }
    let squeezed = capped / step.params.cap;
    return 1.0 - squeezed * squeezed;
}
