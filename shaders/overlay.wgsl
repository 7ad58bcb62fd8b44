// Blends a frame's layers into the parts of the picture that they change: one invocation owns four neighbouring samples of one
// plane, and takes every layer over them from the back to the front. Whole numbers throughout, so the result is that of
// src/overlay/compose/cpu.rs to the bit. src/overlay/compose/gpu/plan.rs writes the tables. Preceded by fx.wgsl, followed by
// glass.wgsl.

// A part of a plane, its rows one after the other as words of four samples, the first sample in the lowest byte. It begins on a
// workgroup of its own.
struct Region {
    group: u32,
    // In a row.
    words: u32,
    rows: u32,
    // Its corner, in the plane's samples; x is a multiple of four.
    x: i32,
    y: i32,
    // Its blits, from the back to the front.
    first: u32,
    end: u32,
    unused: u32,
}

// One plane of one draw.
struct Blit {
    // What it may change, in the plane's samples.
    x: i32,
    y: i32,
    right: i32,
    bottom: i32,
    // Where the layer's samples begin in `layers`, and how many columns and rows of them there are.
    samples: u32,
    w: i32,
    h: i32,
    // EFFECT_…
    effect: u32,
    // Where the layer's corner comes to lie; meaningless when scaled.
    left: i32,
    top: i32,
    // Where it lies at home, in luma pixels, and how many of those a sample is.
    home_x: i32,
    home_y: i32,
    step: i32,
    opacity: u32,
    white: u32,
    // Of a ring what is left of the turn, of a shimmer its phase.
    phase: i32,
    reach: i32,
    // Of what is scaled, the layer's column u0 + x · du and row v0 + y · dv, in 1/65536 samples. du is 0 for all else.
    u0: i32,
    du: i32,
    v0: i32,
    dv: i32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

struct Tables {
    groups: u32,
    regions: u32,
    unused_0: u32,
    unused_1: u32,
    // Ordered by `group`.
    region: array<Region, 96>,
    blit: array<Blit>,
}

const EFFECT_RING: u32 = 1u;
const EFFECT_SHIMMER: u32 = 2u;

// Invocations of a workgroup.
override WIDTH: u32 = 64u;
// Whether any blit is scaled, a ring or lit.
override EFFECTS: bool = true;

@group(0) @binding(0) var<storage, read_write> picture: array<u32>;
@group(0) @binding(1) var<storage, read> tables: Tables;
// Samples of layers: s in the lower half, then alpha, then the angle of a ring; of glass alpha alone.
@group(0) @binding(2) var<storage, read> layers: array<u32>;

@compute @workgroup_size(WIDTH)
fn compose(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) count: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = id.y * count.x + id.x;
    if group >= tables.groups {
        return;
    }
    let region = tables.region[region_of(group)];
    let word = (group - region.group) * WIDTH + lane;
    let row = word / region.words;
    if row >= region.rows {
        return;
    }
    let x = region.x + 4 * i32(word - row * region.words);
    let y = region.y + i32(row);
    let at = region.group * WIDTH + word;
    let before = picture[at];
    var samples = vec4u(before & 255u, (before >> 8u) & 255u, (before >> 16u) & 255u, before >> 24u);
    for (var index = region.first; index < region.end; index++) {
        if y < tables.blit[index].y || y >= tables.blit[index].bottom {
            continue;
        }
        if x + 3 < tables.blit[index].x || x >= tables.blit[index].right {
            continue;
        }
        let blit = tables.blit[index];
        for (var k = 0; k < 4; k++) {
            let column = x + k;
            if column >= blit.x && column < blit.right {
                let sample = layer_sample(blit, column, y);
                samples[k] = fx_over(samples[k], sample.x, sample.y);
            }
        }
    }
    picture[at] = samples.x | (samples.y << 8u) | (samples.z << 16u) | (samples.w << 24u);
}

// The last region that begins at or before a workgroup.
fn region_of(group: u32) -> u32 {
    var low = 0u;
    var high = tables.regions;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if tables.region[middle].group <= group {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// Sample and alpha that a blit brings to a place of the picture's plane.
fn layer_sample(blit: Blit, x: i32, y: i32) -> vec2u {
    var column = x - blit.left;
    var line = y - blit.top;
    var sample: vec2u;
    if EFFECTS && blit.du != 0 {
        let u = blit.u0 + x * blit.du;
        let v = blit.v0 + y * blit.dv;
        column = max(u >> 16u, 0);
        line = max(v >> 16u, 0);
        sample = between(blit, u, v);
    } else {
        sample = unpacked(layers[blit.samples + u32(line * blit.w + column)]);
    }
    if EFFECTS && blit.effect == EFFECT_RING {
        let place = min(line, blit.h - 1) * blit.w + min(column, blit.w - 1);
        if !fx_ring(layers[blit.samples + u32(place)] >> 24u, u32(blit.phase)) {
            return vec2u(0u, 0u);
        }
    }
    if EFFECTS && blit.effect == EFFECT_SHIMMER {
        let light = fx_shimmer(blit.home_x + column * blit.step, blit.home_y + line * blit.step, blit.phase, blit.reach);
        sample.x = fx_lit(sample.x, sample.y, blit.white, light);
    }
    if blit.opacity != 255u {
        sample = vec2u(fx_fade(sample.x, blit.opacity), fx_fade(sample.y, blit.opacity));
    }
    // Alpha may have been rounded down where the sample was not.
    return vec2u(min(sample.x, 255u * sample.y), sample.y);
}

// Sample and alpha between a layer's samples, at a place in 1/65536 of them; transparent beyond its edges.
fn between(blit: Blit, u: i32, v: i32) -> vec2u {
    let x = u >> 16u;
    let y = v >> 16u;
    let across = u32((u >> 8u) & 255);
    let down = u32((v >> 8u) & 255);
    let sum = corner(blit, x, y) * ((256u - across) * (256u - down))
        + corner(blit, x + 1, y) * (across * (256u - down))
        + corner(blit, x, y + 1) * ((256u - across) * down)
        + corner(blit, x + 1, y + 1) * (across * down);
    return (sum + (1u << 15u)) >> vec2u(16u);
}

fn corner(blit: Blit, x: i32, y: i32) -> vec2u {
    if x < 0 || x >= blit.w || y < 0 || y >= blit.h {
        return vec2u(0u, 0u);
    }
    return unpacked(layers[blit.samples + u32(y * blit.w + x)]);
}

fn unpacked(sample: u32) -> vec2u {
    return vec2u(sample & 65535u, (sample >> 16u) & 255u);
}
