#include "kernels/cuda/launch.h"
#include "kernels/cuda/pool_kernel.h"

namespace rubato::kernels::cuda {
namespace {

// Where an element of a channels-last tensor is.
struct Pixel {
  std::int64_t sample, row, column, channel;
};

__device__ Pixel pixel_of(const TensorShape& shape, std::size_t index) {
  const auto i = static_cast<std::int64_t>(index);
  return {i / (shape.height * shape.width * shape.channels), i / (shape.width * shape.channels) % shape.height,
          i / shape.channels % shape.width, i % shape.channels};
}

// Of an output's window what lies in the input, in one direction: [first, last).
struct Extent {
  std::int64_t start, first, last;

  __device__ Extent(std::int64_t at, std::int64_t size, const PoolShape& shape)
      : start(at * shape.stride - shape.padding),
        first(start < 0 ? 0 : start),
        last(start + shape.window < size ? start + shape.window : size) {}
  __device__ std::int64_t size() const { return last - first; }
};

// A thread for each output.
__global__ void pool_kernel(PoolShape shape, std::size_t count, const float* from, float* to, std::uint16_t* chosen) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) {
    const Pixel out = pixel_of(shape.output, i);
    const Extent rows(out.row, shape.input.height, shape), columns(out.column, shape.input.width, shape);
    float sum = 0.0f, most = 0.0f;
    std::int64_t place = -1;
    for (std::int64_t row = rows.first; row < rows.last; ++row)
      for (std::int64_t column = columns.first; column < columns.last; ++column) {
        const float value =
            from[((out.sample * shape.input.height + row) * shape.input.width + column) * shape.input.channels +
                 out.channel];
        sum += value;
        if (place >= 0 && !(value > most) && value == value) continue;  // what is no number stays so
        most = value;
        place = (row - rows.start) * shape.window + column - columns.start;
      }
    to[i] = shape.maximum ? most : sum / static_cast<float>(rows.size() * columns.size());
    if (chosen != nullptr) chosen[i] = static_cast<std::uint16_t>(place);
  }
}

// Of an input's place in one direction: the windows that it is in, [first, last).
struct Windows {
  std::int64_t first, last;

  __device__ Windows(std::int64_t at, std::int64_t outputs, const PoolShape& shape) {
    const std::int64_t padded = at + shape.padding, end = padded / shape.stride + 1;
    first = padded < shape.window ? 0 : (padded - shape.window) / shape.stride + 1;
    last = end < outputs ? end : outputs;
  }
};

// A thread for each input, which looks at the windows that it is in: so the order of a sum is fixed.
__global__ void pool_gradient_kernel(PoolShape shape, std::size_t count, const float* gradient,
                                     const std::uint16_t* chosen, float* to) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) {
    const Pixel in = pixel_of(shape.input, i);
    const Windows down(in.row, shape.output.height, shape), across(in.column, shape.output.width, shape);
    float sum = 0.0f;
    for (std::int64_t row = down.first; row < down.last; ++row) {
      const Extent rows(row, shape.input.height, shape);
      for (std::int64_t column = across.first; column < across.last; ++column) {
        const Extent columns(column, shape.input.width, shape);
        const std::int64_t at =
            ((in.sample * shape.output.height + row) * shape.output.width + column) * shape.output.channels +
            in.channel;
        const std::int64_t place = (in.row - rows.start) * shape.window + in.column - columns.start;
        if (!shape.maximum)
          sum += gradient[at] / static_cast<float>(rows.size() * columns.size());
        else if (chosen[at] == place)
          sum += gradient[at];
      }
    }
    to[i] = sum;
  }
}

}  // namespace

cudaError_t enqueue_pool(const PoolShape& shape, const float* from, float* to, std::uint16_t* chosen,
                         cudaStream_t stream) {
  const auto count = static_cast<std::size_t>(shape.output.elements());
  return launch(pool_kernel, grid_over(count), stream, shape, count, from, to, chosen);
}

cudaError_t enqueue_pool_gradient(const PoolShape& shape, const float* gradient, const std::uint16_t* chosen, float* to,
                                  cudaStream_t stream) {
  const auto count = static_cast<std::size_t>(shape.input.elements());
  return launch(pool_gradient_kernel, grid_over(count), stream, shape, count, gradient, chosen, to);
}

}  // namespace rubato::kernels::cuda
