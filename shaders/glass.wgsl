// Frosts a part of the picture where a mask says so, before anything is blended: blocks of four by four samples are added up,
// blurred by three boxes of five each way, and laid back between their middles. The twin of src/overlay/compose/glass.rs, to
// the bit. Four dispatches a piece of glass; the second number of a workgroup is the plane.

// One plane of a piece of glass.
struct Pane {
    // The blocks that its blur takes in: the first one's place and their number, on the picture's grid of blocks.
    grid_x: i32,
    grid_y: i32,
    grid_w: i32,
    grid_h: i32,
    // What it may change, in the plane's samples.
    x: i32,
    y: i32,
    right: i32,
    bottom: i32,
    // Its shape's corner in the plane's samples, its columns, and where its alpha begins in `layers`.
    left: i32,
    top: i32,
    w: i32,
    mask: u32,
    // The plane's size.
    width: i32,
    height: i32,
    // Which region holds its samples.
    region: u32,
    opacity: u32,
    // Where its blocks begin in `blocks`: as many again follow for the sums across.
    blocks: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

struct Glass {
    panes: array<Pane, 3>,
}

@group(0) @binding(3) var<storage, read_write> blocks: array<u32>;
@group(0) @binding(4) var<uniform> glass: Glass;

// A box of five, three times over; the divisor is its sum, squared.
const KERNEL = array<u32, 13>(1u, 3u, 6u, 10u, 15u, 18u, 19u, 18u, 15u, 10u, 6u, 3u, 1u);
const REACH: i32 = 6;
const DIVISOR: u32 = 15625u;

// The sum of each block's samples, the plane's last ones repeated beyond its edges.
@compute @workgroup_size(WIDTH)
fn add_up(@builtin(global_invocation_id) id: vec3u) {
    let pane = glass.panes[id.y];
    let block = i32(id.x);
    if block >= pane.grid_w * pane.grid_h {
        return;
    }
    let x = (pane.grid_x + block % pane.grid_w) * 4;
    let y = (pane.grid_y + block / pane.grid_w) * 4;
    var sum = 0u;
    for (var row = 0; row < 4; row++) {
        let word = picture[word_at(pane.region, x, min(y + row, pane.height - 1))];
        for (var k = 0; k < 4; k++) {
            let column = min(x + k, pane.width - 1) - x;
            sum += (word >> u32(8 * column)) & 255u;
        }
    }
    blocks[pane.blocks + id.x] = sum;
}

@compute @workgroup_size(WIDTH)
fn across(@builtin(global_invocation_id) id: vec3u) {
    let pane = glass.panes[id.y];
    let block = i32(id.x);
    let len = pane.grid_w * pane.grid_h;
    if block >= len {
        return;
    }
    let x = block % pane.grid_w;
    let line = pane.blocks + u32(block - x);
    var sum = 0u;
    for (var tap = 0; tap < 13; tap++) {
        sum += KERNEL[tap] * blocks[line + u32(clamp(x + tap - REACH, 0, pane.grid_w - 1))];
    }
    blocks[pane.blocks + u32(len) + id.x] = sum;
}

@compute @workgroup_size(WIDTH)
fn down(@builtin(global_invocation_id) id: vec3u) {
    let pane = glass.panes[id.y];
    let block = i32(id.x);
    let len = pane.grid_w * pane.grid_h;
    if block >= len {
        return;
    }
    let y = block / pane.grid_w;
    let column = pane.blocks + u32(len + block % pane.grid_w);
    var sum = DIVISOR / 2u;
    for (var tap = 0; tap < 13; tap++) {
        sum += KERNEL[tap] * blocks[column + u32(clamp(y + tap - REACH, 0, pane.grid_h - 1) * pane.grid_w)];
    }
    blocks[pane.blocks + id.x] = sum / DIVISOR;
}

// Lays the blur back, four samples an invocation.
@compute @workgroup_size(WIDTH)
fn frost(@builtin(global_invocation_id) id: vec3u) {
    let pane = glass.panes[id.y];
    let first = pane.x / 4;
    let words = (pane.right + 3) / 4 - first;
    let y = pane.y + i32(id.x) / max(words, 1);
    if y >= pane.bottom {
        return;
    }
    let x = 4 * (first + i32(id.x) % words);
    let at = word_at(pane.region, x, y);
    var word = picture[at];
    let rows = neighbours(y, pane.grid_y, pane.grid_h);
    for (var k = 0; k < 4; k++) {
        let column = x + k;
        if column < pane.x || column >= pane.right {
            continue;
        }
        let columns = neighbours(column, pane.grid_x, pane.grid_w);
        let blurred = between_rows(pane, columns.first, rows) * (8u - columns.weight)
            + between_rows(pane, columns.second, rows) * columns.weight;
        let alpha = layers[pane.mask + u32((y - pane.top) * pane.w + column - pane.left)];
        let m = (alpha * pane.opacity + 127u) / 255u;
        let shift = u32(8 * k);
        let mixed = glass_mix((word >> shift) & 255u, blurred, m);
        word = (word & ~(255u << shift)) | (mixed << shift);
    }
    picture[at] = word;
}

fn between_rows(pane: Pane, column: i32, rows: Neighbours) -> u32 {
    let first = blocks[pane.blocks + u32(rows.first * pane.grid_w + column)];
    let second = blocks[pane.blocks + u32(rows.second * pane.grid_w + column)];
    return first * (8u - rows.weight) + second * rows.weight;
}

struct Neighbours {
    first: i32,
    second: i32,
    // Eighths of the way from the first to the second.
    weight: u32,
}

// Between which two of a pane's blocks a sample lies: a block's middle is one and a half samples from its first.
fn neighbours(sample: i32, first: i32, len: i32) -> Neighbours {
    let eighths = 2 * sample - 3 - 8 * first;
    let block = eighths >> 3u;
    return Neighbours(clamp(block, 0, len - 1), clamp(block + 1, 0, len - 1), u32(eighths & 7));
}

// A picture's sample under glass: blurred is 16 · 8 · 8 times a sample's size.
fn glass_mix(d: u32, blurred: u32, m: u32) -> u32 {
    return (((blurred + 32u) >> 6u) * m + d * 16u * (255u - m) + 2040u) / 4080u;
}

// Where the word with a sample lies in `picture`.
fn word_at(index: u32, x: i32, y: i32) -> u32 {
    let region = tables.region[index];
    return region.group * WIDTH + u32(y - region.y) * region.words + u32((x - region.x) / 4);
}
