// Pools, in own loops over channels: oneDNN's take a call for each pixel, which for the few channels of a small network
// is most of its time (docs/performance.md). What max pooling saves is a byte for each output: the place in the window
// that won, or that none did, since ReLU behind it left nothing of it.
//
// Either tensor may lie in the device's own layout, as behind the last convolution before a dense layer. Then each
// block of channels is worked on by itself; a pixel is then as far from the next one as the tensor's layout has it
// (`pitch`).
//
// A register of channels at a time. Where a tensor has fewer, a pixel's lanes reach into those behind it, which are
// written after it and so put right; the last pixels of a sample are done in exact parts.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/activation.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/tensor_layout.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels {
namespace {

constexpr std::int32_t kNobody = 255;

IntLanes read_bytes(const std::uint8_t* from, Full) {
  std::int32_t values[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) values[i] = from[i];
  IntLanes lanes;
  std::memcpy(&lanes, values, sizeof lanes);
  return lanes;
}
IntLanes read_bytes(const std::uint8_t* from, Part part) {
  IntLanes lanes{};
  for (std::int64_t i = 0; i < part.count; ++i) lanes[i] = from[i];
  return lanes;
}
void write_bytes(std::uint8_t* to, const IntLanes& lanes, Full) {
  std::int32_t values[kLanes];
  std::memcpy(values, &lanes, sizeof lanes);
  for (std::int64_t i = 0; i < kLanes; ++i) to[i] = static_cast<std::uint8_t>(values[i]);
}
void write_bytes(std::uint8_t* to, const IntLanes& lanes, Part part) {
  for (std::int64_t i = 0; i < part.count; ++i) to[i] = static_cast<std::uint8_t>(lanes[i]);
}

// Of one sample, or of one block of it.
struct Geometry {
  std::int64_t height, width, channels, pitch;
  std::int64_t out_height, out_width, out_pitch;
  std::int64_t window, stride, padding;

  // To the end of the last pixel.
  [[nodiscard]] std::int64_t inputs() const { return (height * width - 1) * pitch + channels; }
  [[nodiscard]] std::int64_t outputs() const { return (out_height * out_width - 1) * out_pitch + channels; }
  [[nodiscard]] bool overlaps() const { return stride < window; }
  [[nodiscard]] bool covers() const {
    return stride == window && padding == 0 && out_height * window == height && out_width * window == width;
  }
};

struct Range {
  std::int64_t origin, first, last;  // of the window; of what lies within the input
};

Range range_of(std::int64_t output, const Geometry& g, std::int64_t extent) {
  const std::int64_t origin = output * g.stride - g.padding;
  return {origin, std::max(origin, std::int64_t{0}), std::min(origin + g.window, extent)};
}

// Where a window lies, where its output; floats from there to the end of what is read or written.
struct Window {
  Range rows, columns;
  std::int64_t out, room;
};

template <typename Body>
void over_windows(const Geometry& g, const Body& body) {
  for (std::int64_t oh = 0; oh < g.out_height; ++oh) {
    const Range rows = range_of(oh, g, g.height);
    for (std::int64_t ow = 0; ow < g.out_width; ++ow) {
      const Range columns = range_of(ow, g, g.width);
      const std::int64_t out = (oh * g.out_width + ow) * g.out_pitch;
      const std::int64_t farthest = ((rows.last - 1) * g.width + columns.last - 1) * g.pitch;
      body(Window{rows, columns, out, std::min(g.inputs() - farthest, g.outputs() - out)});
    }
  }
}

// body(first channel, Full or Part). `room`: floats from a pixel's first channel to the end of what is read or written.
template <typename Body>
void over_channels(std::int64_t channels, std::int64_t room, const Body& body) {
  if (channels >= kLanes || room < kLanes) return over_lanes(channels, body);
  body(std::int64_t{0}, Full{});
}

template <bool kRelu>
void max_of_sample(const Geometry& g, const float* x, float* y, std::uint8_t* winners) {
  over_windows(g, [&](const Window& at) {
    const Range &rows = at.rows, &columns = at.columns;
    over_channels(g.channels, at.room, [&](std::int64_t c, auto lanes) {
      Lanes best{};
      IntLanes winner{};
      bool any = false;
      for (std::int64_t h = rows.first; h < rows.last; ++h)
        for (std::int64_t w = columns.first; w < columns.last; ++w) {
          const Lanes value = read(x + (h * g.width + w) * g.pitch + c, lanes);
          const auto place = static_cast<std::int32_t>((h - rows.origin) * g.window + (w - columns.origin));
          const IntLanes wins = any ? IntLanes((value > best) | (value != value)) : IntLanes{} - 1;
          best = wins ? value : best;
          winner = wins ? IntLanes{} + place : winner;
          any = true;
        }
      if constexpr (kRelu) {
        winner = best > 0.0f ? winner : IntLanes{} + kNobody;
        best = best < 0.0f ? Lanes{} : best;  // a NaN stays one
      }
      write(y + at.out + c, best, lanes);
      if (winners != nullptr) write_bytes(winners + at.out + c, winner, lanes);
    });
  });
}

void mean_of_sample(const Geometry& g, const float* x, float* y) {
  over_windows(g, [&](const Window& at) {
    const Range &rows = at.rows, &columns = at.columns;
    const auto pixels = static_cast<float>((rows.last - rows.first) * (columns.last - columns.first));
    over_channels(g.channels, at.room, [&](std::int64_t c, auto lanes) {
      Lanes sum{};
      for (std::int64_t h = rows.first; h < rows.last; ++h)
        for (std::int64_t w = columns.first; w < columns.last; ++w)
          sum += read(x + (h * g.width + w) * g.pitch + c, lanes);
      write(y + at.out + c, sum / pixels, lanes);
    });
  });
}

// An input's gradient has a term from each window that it lies in: where windows overlap, `kAdds`.
template <bool kMax, bool kAdds>
void spread_sample(const Geometry& g, const float* gradient, const std::uint8_t* winners, float* to) {
  const bool exact = !g.covers();  // what lies in no window has been written before
  for (std::int64_t oh = 0; oh < g.out_height; ++oh) {
    const Range rows = range_of(oh, g, g.height);
    for (std::int64_t h = rows.first; h < rows.last; ++h) {
      for (std::int64_t ow = 0; ow < g.out_width; ++ow) {
        const Range columns = range_of(ow, g, g.width);
        const std::int64_t out = (oh * g.out_width + ow) * g.out_pitch;
        const auto pixels = static_cast<float>((rows.last - rows.first) * (columns.last - columns.first));
        for (std::int64_t w = columns.first; w < columns.last; ++w) {
          const std::int64_t in = (h * g.width + w) * g.pitch;
          const std::int64_t room = exact ? 0 : std::min(g.inputs() - in, g.outputs() - out);
          const auto place = static_cast<std::int32_t>((h - rows.origin) * g.window + (w - columns.origin));
          over_channels(g.channels, room, [&](std::int64_t c, auto lanes) {
            Lanes value = read(gradient + out + c, lanes);
            if constexpr (kMax)
              value = read_bytes(winners + out + c, lanes) == place ? value : Lanes{};
            else
              value /= pixels;
            if constexpr (kAdds) value += read(to + in + c, lanes);
            write(to + in + c, value, lanes);
          });
        }
      }
    }
  }
}

class Pool final : public ParameterlessOp {
 public:
  Pool(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint);

  void bind(const Ports& ports) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return activation_.backward(); }
  Status backward_data() override;

 private:
  // body(where a sample, or a block of one, begins in the input, and where in the output), on all threads.
  template <typename Body>
  void in_parts(const Body& body) const;
  template <bool kMax, bool kAdds>
  void spread() const;

  const int threads_;
  const bool max_, relu_;  // ReLU of a maximum is done here, every other activation behind it
  const Layout in_layout_, out_layout_;
  Geometry geometry_{};
  std::int64_t blocks_ = 1;  // of a sample
  FusedActivation activation_;
  const float* input_ = nullptr;
  float* result_ = nullptr;  // before the activation
  const float* output_gradient_ = nullptr;
  float* input_gradient_ = nullptr;
  std::uint8_t* winners_ = nullptr;
};

Pool::Pool(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint)
    : threads_(context.threads),
      max_(desc.kind == PoolDesc::Kind::kMax),
      relu_(max_ && desc.activation == Activation::kRelu),
      in_layout_(hint.input),
      out_layout_(hint.output) {
  RUBATO_CHECK(desc.padding < desc.window && (!max_ || desc.window * desc.window < kNobody),
               "a pool of {} x {}, padded by {}", desc.window, desc.window, desc.padding);
  info_.input = desc.input;
  info_.output = output_shape(desc);
  info_.algorithms = {{"forward", "windows"}, {"backward_data", "windows"}};
  const TensorShape in = info_.input, out = info_.output;
  const bool blocked = in_layout_ == Layout::kOwn || out_layout_ == Layout::kOwn;
  if (blocked) blocks_ = in.channels / kBlock;
  geometry_ = {.height = in.height,
               .width = in.width,
               .channels = blocked ? kBlock : in.channels,
               .pitch = as_rows(in, in_layout_).channels,
               .out_height = out.height,
               .out_width = out.width,
               .out_pitch = as_rows(out, out_layout_).channels,
               .window = desc.window,
               .stride = desc.stride,
               .padding = desc.padding};
  activation_ = FusedActivation(context, relu_ ? Activation::kNone : desc.activation,
                                tensor_desc(out, format_of(out_layout_)), hint.training, false);
  info_.saved_bytes = activation_.saved_bytes();
  if (max_ && hint.training) info_.saved_bytes += static_cast<std::size_t>(info_.output.elements());
  info_.scratch_bytes = activation_.scratch_bytes();
}

void Pool::bind(const Ports& ports) {
  input_ = ports.input;
  result_ = activation_.bind(ports, ports.saved);
  output_gradient_ = ports.output_gradient;
  input_gradient_ = ports.input_gradient;
  const bool saves = info_.saved_bytes > activation_.saved_bytes();
  winners_ = saves ? static_cast<std::uint8_t*>(ports.saved) + activation_.saved_bytes() : nullptr;
}

template <typename Body>
void Pool::in_parts(const Body& body) const {
  const auto begin = [](const TensorShape& shape, Layout layout, std::int64_t n, std::int64_t block) {
    const std::int64_t pixels = layout == Layout::kOwn ? shape.height * shape.width : 1;
    return n * shape.elements_per_sample() + block * kBlock * pixels;
  };
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t n = 0; n < info_.input.samples; ++n)
    for (std::int64_t block = 0; block < blocks_; ++block)
      body(begin(info_.input, in_layout_, n, block), begin(info_.output, out_layout_, n, block));
}

Status Pool::forward(const SampleKeys&) {
  in_parts([this](std::int64_t in, std::int64_t out) {
    std::uint8_t* const winners = winners_ == nullptr ? nullptr : winners_ + out;
    if (!max_)
      mean_of_sample(geometry_, input_ + in, result_ + out);
    else if (relu_)
      max_of_sample<true>(geometry_, input_ + in, result_ + out, winners);
    else
      max_of_sample<false>(geometry_, input_ + in, result_ + out, winners);
  });
  return activation_.forward();
}

template <bool kMax, bool kAdds>
void Pool::spread() const {
  in_parts([this](std::int64_t in, std::int64_t out) {
    float* const to = input_gradient_ + in;
    if (!geometry_.covers())
      for (std::int64_t pixel = 0; pixel < geometry_.height * geometry_.width; ++pixel)
        std::fill_n(to + pixel * geometry_.pitch, geometry_.channels, 0.0f);
    spread_sample<kMax, kAdds>(geometry_, output_gradient_ + out, kMax ? winners_ + out : nullptr, to);
  });
}

Status Pool::backward_data() {
  if (max_)
    geometry_.overlaps() ? spread<true, true>() : spread<true, false>();
  else
    geometry_.overlaps() ? spread<false, true>() : spread<false, false>();
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint) {
  return std::make_unique<Pool>(context, desc, hint);
}

}  // namespace rubato::kernels
