// A whole sequence in one launch, forward and backward: persistent kernels (Diamos et al. 2016, ICML).
//
// A launch a step reads R from global memory T times, and the launches of a small net last longer than its arithmetic.
// Here each block of threads keeps its part of R on the chip, in shared memory, from the first step to the last:
//
//   block (x, y) has `units` hidden units with all their gates, and of the batch the tiles y, y + gridDim.y, ... of
//   SEQUENCES sequences each. A turn is one step of one tile: read h_(t-1) whole, since every unit feeds every other;
//   multiply it by the part of R; work out the own cells, one a thread; write their h_t; tell the others.
//
// Blocks meet at a counter in global memory, so all must be on the GPU at once: a cooperative launch sees to that. A
// net that fits one block (gridDim.x = 1) hands h_t on in shared memory and meets nobody.
//
// The equations stand in persistent_cells.cu, which comes before this file; the arrays are those of elman.cu, lstm.cu
// and gru.cu, a null pointer where a cell has none. Options, powers of two: -DSEQUENCES and -DLANES, not fewer.

const unsigned ALL = 0xffffffff;  // lanes of a warp
const int THREADS = SEQUENCES * sizeof(real) > 32 ? 256 : 512;  // of a block at most: they share 65536 registers
const int ROWS = 4;  // a thread keeps ROWS x SEQUENCES sums in registers: ROWS + SEQUENCES reads feed as many products

// A block's part of a matrix (rows x width) and the room to multiply it with one vector a sequence, in shared memory.
struct Part {
  int rows, width, stride;  // each row begins `stride` numbers after the last one
  int chunk, parts;         // columns at a time, and threads' shares of them; a sum has `parts` terms
  real *matrix, *vectors, *sums;

  __device__ int pitch() const { return rows | 1; }  // odd: the sums of one row then lie in different banks
  __device__ real sum(int s, int row) const {
    real total = 0;
    for (int part = 0; part < parts; ++part) total += sums[(part * SEQUENCES + s) * pitch() + row];
    return total;
  }
};

// vectors[s] = x[s], the columns `from` to `from` + n, of `count` sequences; 0 for those beyond the end of the batch.
// All reads are under way before the first is waited for. __ldcg reads past L1, which does not see others' writes.
__device__ void stage(const Part& my, const real* x, int count, int from, int n) {
  for (int k = threadIdx.x; k < n; k += blockDim.x) {
    real found[SEQUENCES];
#pragma unroll
    for (int s = 0; s < SEQUENCES; ++s) found[s] = s < count ? __ldcg(x + size_t(s) * my.width + from + k) : 0;
#pragma unroll
    for (int s = 0; s < SEQUENCES; ++s) my.vectors[s * my.chunk + k] = found[s];
  }
}

// sums = matrix x vectors. A group of LANES neighbouring threads (of `parts` such) shares ROWS rows, and each of them
// takes every LANES-th column. x = null: the vectors are there already.
__device__ void multiply(const Part& my, const real* x, int count) {
  const int lane = threadIdx.x % LANES, part = threadIdx.x / LANES % my.parts;
  const int group = threadIdx.x / LANES / my.parts, groups = (my.rows + ROWS - 1) / ROWS;
  int begin[ROWS];  // its rows are group, group + groups, ...
#pragma unroll
  for (int r = 0; r < ROWS; ++r) begin[r] = min(group + r * groups, my.rows - 1) * my.stride;
  real sum[ROWS][SEQUENCES] = {};

  for (int from = 0; from < my.width; from += my.chunk) {
    const int n = min(my.chunk, my.width - from);
    if (x) {
      if (from) __syncthreads();  // the last columns are done with
      stage(my, x, count, from, n);
      __syncthreads();
    }
    if (group < groups)
      for (int k = part * LANES + lane; k < n; k += my.parts * LANES) {
        real w[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) w[r] = my.matrix[begin[r] + from + k];
#pragma unroll
        for (int s = 0; s < SEQUENCES; ++s) {
          const real v = my.vectors[s * my.chunk + k];
#pragma unroll
          for (int r = 0; r < ROWS; ++r) sum[r][s] += w[r] * v;
        }
      }
  }
  // Lanes add up pairwise, ever nearer ones. While a lane has several sequences, it keeps one half of them and gives
  // the other away, so that in the end the sequences are dealt out among the lanes: half the shuffles at every turn.
  int left = SEQUENCES;
#pragma unroll
  for (int apart = LANES / 2; apart > 0; apart /= 2) {
    const bool upper = lane & apart;
    const int half = left / 2;
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
      if (half == 0) sum[r][0] += __shfl_xor_sync(ALL, sum[r][0], apart);
      else
#pragma unroll
        for (int s = 0; s < SEQUENCES / 2; ++s)
          if (s < half) {
            const real keep = upper ? sum[r][s + half] : sum[r][s], give = upper ? sum[r][s] : sum[r][s + half];
            sum[r][s] = keep + __shfl_xor_sync(ALL, give, apart);
          }
    left = half ? half : 1;
  }
  const int s = lane / (LANES / SEQUENCES);
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
    if (group < groups && group + r * groups < my.rows && lane % (LANES / SEQUENCES) == 0)
      my.sums[(part * SEQUENCES + s) * my.pitch() + group + r * groups] = sum[r][0];
  __syncthreads();
}

// The blocks of a tile meet: each counts itself when its part of a step is written, and waits until all have.
__device__ void arrive(unsigned* arrived) {
  __syncthreads();
  if (gridDim.x > 1 && threadIdx.x == 0) {
    __threadfence();  // what the block wrote is seen before the count is
    atomicAdd(arrived, 1u);
  }
}

__device__ void wait(const unsigned* arrived, unsigned steps) {
  if (gridDim.x == 1) return;
  if (threadIdx.x == 0) {
    while (*(const volatile unsigned*)arrived < steps * gridDim.x) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
}

// The cell of unit j and of sequence s of a tile, at step t; nothing is read before the first step or after the last.
__device__ Cell look(int T, int B, int H, int j, int s, int t, int tile, const bool* mask, const real* a) {
  Cell cell = {t, tile, tile * SEQUENCES + s};
  cell.mine = s < SEQUENCES && j < H && cell.b < B;
  if (!cell.mine || t < 0 || t >= T) return cell;
  const size_t step = size_t(t) * B + cell.b;
  cell.at = step * H + j;
  cell.alive = !mask || mask[step];
  for (int k = 0; k < GATES && a; ++k) cell.a[k] = a[(step * GATES + k) * H + j];
  return cell;
}

// hs (T + 1, B, H) begins with h_0. a = W x + b becomes the activations. `also`: c_t of an LSTM, q_t of a GRU.
extern "C" __global__ void __launch_bounds__(THREADS, 1) persistent_forward(
    int T, int B, int H, int units, int parts, int chunk, int stride, const real* R, const real* extra,
    const bool* mask, const real* c_0, real* a, real* hs, real* also, real* y, unsigned* arrived) {
  extern __shared__ real pool[];
  const int rows = GATES * units, first = blockIdx.x * units;
  Part my = {rows, H, stride, chunk, parts, pool, pool + rows * stride, pool + rows * stride + SEQUENCES * chunk};
  real* const kept = my.sums + parts * SEQUENCES * my.pitch() + threadIdx.x;  // h and c of the own cell, tile by tile
  for (int k = threadIdx.x; k < rows * H; k += blockDim.x) {
    const int row = k / H, j = first + row % units;
    my.matrix[row * stride + k % H] = j < H ? R[(size_t(row / units) * H + j) * H + k % H] : 0;
  }

  const int tiles = (B + SEQUENCES - 1) / SEQUENCES, own = (tiles - int(blockIdx.y) + gridDim.y - 1) / gridDim.y;
  const int u = threadIdx.x % units, s = threadIdx.x / units, j = first + u;
  real p[3] = {};
  for (int k = 0; k < EXTRA && extra && j < H; ++k) p[k] = extra[k * H + j];

  auto ahead = [&](int turn) {
    return look(T, B, H, j, s, turn / own, blockIdx.y + turn % own * gridDim.y, mask, a);
  };
  Cell next = ahead(0);
  for (int turn = 0; turn < T * own; ++turn) {
    Cell cell = next;
    next = ahead(turn + 1);
    real &h = kept[turn % own * 2 * blockDim.x], &c = kept[(turn % own * 2 + 1) * blockDim.x];
    if (cell.t == 0 && cell.mine) {
      h = hs[cell.at];
      c = c_0 ? c_0[cell.at] : 0;
    }
    wait(arrived + cell.tile, cell.t);
    const real* x = hs + (size_t(cell.t) * B + cell.tile * SEQUENCES) * H;
    multiply(my, cell.t == 0 || gridDim.x > 1 ? x : nullptr, B - cell.tile * SEQUENCES);
    if (cell.mine) {
      real fed[GATES];
      for (int k = 0; k < GATES; ++k) fed[k] = my.sum(s, k * units + u);
      if (cell.alive) {
        cell_forward(fed, p, cell.a, h, c);
        for (int k = 0; k < GATES && also; ++k) a[((size_t(cell.t) * B + cell.b) * GATES + k) * H + j] = cell.a[k];
      }
      hs[cell.at + size_t(B) * H] = h;
      y[cell.at] = cell.alive ? h : 0;
      if (also) also[cell.at] = c;
      if (gridDim.x == 1) my.vectors[s * chunk + j] = h;
    }
    arrive(arrived + cell.tile);
  }
}

// da (T, B, GATES H) goes back through R, a column of which is a unit's: dh_(t-1) = R' da_t + `past`, what did not pass
// through R. `before` and `after` (T, B, H) are what cell_backward() reads. dh and dc (B, H): of step T in, of 0 out.
extern "C" __global__ void __launch_bounds__(THREADS, 1) persistent_backward(
    int T, int B, int H, int units, int parts, int chunk, int stride, const real* R, const real* extra,
    const bool* mask, const real* a, const real* before, const real* after, const real* g, real* dh, real* dc,
    real* da, real* dn, unsigned* arrived) {
  extern __shared__ real pool[];
  const int rows = GATES * H, first = blockIdx.x * units;
  Part my = {units, rows, stride, chunk, parts, pool, pool + units * stride, pool + units * stride + SEQUENCES * chunk};
  real* const kept = my.sums + parts * SEQUENCES * my.pitch() + threadIdx.x;
  for (int k = threadIdx.x; k < rows * units; k += blockDim.x) {
    const int u = k % units, row = k / units;
    my.matrix[u * stride + row] = first + u < H ? R[size_t(row) * H + first + u] : 0;
  }

  const int tiles = (B + SEQUENCES - 1) / SEQUENCES, own = (tiles - int(blockIdx.y) + gridDim.y - 1) / gridDim.y;
  const int u = threadIdx.x % units, s = threadIdx.x / units, j = first + u;
  real p[3] = {};
  for (int k = 0; k < EXTRA && extra && j < H; ++k) p[k] = extra[k * H + j];

  auto ahead = [&](int turn) {
    Cell cell = look(T, B, H, j, s, T - 1 - turn / own, blockIdx.y + turn % own * gridDim.y, mask, a);
    if (!cell.mine || cell.t < 0) return cell;
    cell.before = before ? before[cell.at] : 0;
    cell.after = after[cell.at];
    cell.g = g && cell.alive ? g[cell.at] : 0;
    return cell;
  };
  Cell next = ahead(0);
  for (int turn = 0; turn < (T + 1) * own; ++turn) {  // the last turns, of t = -1, only finish dh_0
    Cell cell = next;
    next = ahead(turn + 1);
    real &past = kept[turn % own * 2 * blockDim.x], &d_c = kept[(turn % own * 2 + 1) * blockDim.x];
    const size_t state = size_t(cell.b) * H + j;
    if (cell.t == T - 1 && cell.mine) {
      past = dh[state];
      d_c = dc ? dc[state] : 0;
    }
    const bool product = cell.t < T - 1 && !TRUNCATE;
    if (product) {
      wait(arrived + cell.tile, T - 1 - cell.t);
      const real* x = da + (size_t(cell.t + 1) * B + cell.tile * SEQUENCES) * rows;
      multiply(my, gridDim.x > 1 ? x : nullptr, B - cell.tile * SEQUENCES);
    }
    if (cell.mine) {
      const real d = past + (product ? my.sum(s, u) : 0);
      if (cell.t < 0) {
        dh[state] = d;
        if (dc) dc[state] = d_c;
      } else {
        real found[GATES] = {}, d_n = 0;
        past = cell.alive ? cell_backward(cell, p, d + cell.g, d_c, found, d_n) : d;
        for (int k = 0; k < GATES; ++k) {
          da[((size_t(cell.t) * B + cell.b) * GATES + k) * H + j] = found[k];
          if (gridDim.x == 1) my.vectors[s * chunk + k * H + j] = found[k];
        }
        if (dn) dn[cell.at] = d_n;
      }
    }
    if (!TRUNCATE) arrive(arrived + cell.tile);
  }
}
