// The peer of bench/recall/vectord/recall.c: hnswlib (Debian: libhnswlib-dev), the same files,
// settings, passes and output. Compiled for this machine's processor, which flatters it.
//
//   c++ -O3 -march=native recall.cc -o recall && ./recall BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip
//   [ROWS]
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <hnswlib/hnswlib.h>

namespace
{

constexpr size_t K = 10, PASSES = 3, M = 16, EF_CONSTRUCTION = 200;

double now_s()
{
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// Of this process: what others on the machine take does not count.
double cpu_s()
{
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return double(now.tv_sec) + double(now.tv_nsec) / 1e9;
}

std::vector<float> read_rows(const char *path, size_t dimension, bool normalise)
{
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    std::vector<float> values(size_t(file.tellg()) / sizeof(float));
    file.seekg(0);
    file.read(reinterpret_cast<char *>(values.data()),
              std::streamsize(values.size() * sizeof(float)));
    for (size_t row = 0; normalise && row < values.size(); row += dimension) {
        double squares = 0;
        for (size_t i = 0; i < dimension; i++)
            squares += double(values[row + i]) * double(values[row + i]);
        for (size_t i = 0; i < dimension; i++)
            values[row + i] = float(values[row + i] / std::sqrt(squares));
    }
    return values;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const size_t dimension = std::strtoul(argv[3], nullptr, 10);
    const std::string metric = argv[4];
    const auto base = read_rows(argv[1], dimension, metric == "cosine");
    const auto queries = read_rows(argv[2], dimension, metric == "cosine");
    const size_t all = base.size() / dimension;
    const size_t count = argc > 5 ? std::min(all, size_t(std::strtoul(argv[5], nullptr, 10))) : all;
    const size_t query_count = queries.size() / dimension;
    std::unique_ptr<hnswlib::SpaceInterface<float>> space;
    if (metric == "l2")
        space = std::make_unique<hnswlib::L2Space>(dimension);
    else
        space = std::make_unique<hnswlib::InnerProductSpace>(dimension);

    hnswlib::HierarchicalNSW<float> graph(space.get(), count, M, EF_CONSTRUCTION);
    double start = now_s(), start_cpu = cpu_s();
    for (size_t i = 0; i < count; i++)
        graph.addPoint(base.data() + i * dimension, i);
    std::printf("{\"rows\":%zu,\"dimension\":%zu,\"metric\":\"%s\","
                "\"build_s\":%.2f,\"build_cpu_s\":%.2f}\n",
                count, dimension, metric.c_str(), now_s() - start, cpu_s() - start_cpu);

    hnswlib::BruteforceSearch<float> exact(space.get(), count);
    for (size_t i = 0; i < count; i++)
        exact.addPoint(base.data() + i * dimension, i);
    std::vector<float> farthest(query_count);
    for (size_t i = 0; i < query_count; i++)
        farthest[i] = exact.searchKnn(queries.data() + i * dimension, K).top().first;

    for (size_t ef : {10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512}) {
        graph.setEf(ef);
        double best = 1e18, best_cpu = 1e18;
        size_t right = 0;
        for (size_t pass = 0; pass <= PASSES; pass++) {
            right = 0;
            start = now_s();
            start_cpu = cpu_s();
            for (size_t i = 0; i < query_count; i++) {
                auto found = graph.searchKnn(queries.data() + i * dimension, K);
                for (; !found.empty(); found.pop())
                    right += found.top().first <= farthest[i];
            }
            const double elapsed = now_s() - start;
            const double elapsed_cpu = cpu_s() - start_cpu;
            best = pass > 0 && elapsed < best ? elapsed : best;
            best_cpu = pass > 0 && elapsed_cpu < best_cpu ? elapsed_cpu : best_cpu;
        }
        std::printf("{\"ef\":%zu,\"recall_at_10\":%.4f,\"qps\":%.0f,\"qps_cpu\":%.0f}\n", ef,
                    double(right) / double(query_count * K), double(query_count) / best,
                    double(query_count) / best_cpu);
        std::fflush(stdout);
    }
}
