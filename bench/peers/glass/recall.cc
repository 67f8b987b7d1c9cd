// The peer of bench/recall/vectord/recall.c: glass (github.com/zilliztech/pyglass, headers only),
// the same files, settings, passes and output; without its tuning step. GLASS_KIND: SQ8U, FP32, ...
//
//   c++ -std=c++20 -O3 -march=native -fopenmp -I PYGLASS recall.cc -o recall
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include <omp.h>

#include "glass/hnsw/hnsw.hpp"
#include "glass/searcher/graph_searcher.hpp"

namespace
{

constexpr size_t K = 10, PASSES = 3, M = 16, EF_CONSTRUCTION = 200;

double now_s()
{
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

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

float distance(const float *x, const float *y, size_t dimension)
{
    float sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sum;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const size_t dimension = std::strtoul(argv[3], nullptr, 10);
    const std::string metric = argv[4];
    auto base = read_rows(argv[1], dimension, metric == "cosine");
    auto queries = read_rows(argv[2], dimension, metric == "cosine");
    const size_t all = base.size() / dimension;
    const size_t count = argc > 5 ? std::min(all, size_t(std::strtoul(argv[5], nullptr, 10))) : all;
    omp_set_num_threads(argc > 6 ? int(std::strtoul(argv[6], nullptr, 10)) : 1);
    const size_t query_count = queries.size() / dimension;
    const char *kind = std::getenv("GLASS_KIND") ? std::getenv("GLASS_KIND") : "SQ8U";

    // Unit vectors: the order by L2 is that by cosine.
    double start = now_s(), start_cpu = cpu_s();
    const auto builder = glass::create_hnsw("L2", kind, 2 * M, EF_CONSTRUCTION);
    auto graph = builder->Build(base.data(), int32_t(count), int32_t(dimension));
    auto searcher = glass::create_searcher(std::move(graph), "L2", kind);
    searcher->SetData(base.data(), int32_t(count), int32_t(dimension));
    std::printf("{\"rows\":%zu,\"dimension\":%zu,\"metric\":\"%s\",\"build_s\":%.2f,\"build_cpu_"
                "s\":%.2f}\n",
                count, dimension, metric.c_str(), now_s() - start, cpu_s() - start_cpu);

    std::vector<float> farthest(query_count), orders(count);
    for (size_t i = 0; i < query_count; i++) {
        for (size_t j = 0; j < count; j++)
            orders[j] = distance(&queries[i * dimension], &base[j * dimension], dimension);
        std::nth_element(orders.begin(), orders.begin() + K - 1, orders.end());
        farthest[i] = orders[K - 1];
    }
    std::vector<int32_t> ids(query_count * K);
    std::vector<float> dists(query_count * K);
    for (size_t ef : {10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512}) {
        searcher->SetEf(int32_t(ef));
        double best = 1e18, best_cpu = 1e18;
        size_t right = 0;
        for (size_t pass = 0; pass <= PASSES; pass++) {
            start = now_s();
            start_cpu = cpu_s();
            for (size_t i = 0; i < query_count; i++)
                searcher->Search(&queries[i * dimension], int32_t(K), &ids[i * K], &dists[i * K]);
            const double elapsed = now_s() - start, elapsed_cpu = cpu_s() - start_cpu;
            best = pass > 0 && elapsed < best ? elapsed : best;
            best_cpu = pass > 0 && elapsed_cpu < best_cpu ? elapsed_cpu : best_cpu;
        }
        for (size_t i = 0; i < query_count * K; i++)
            right += distance(&queries[i / K * dimension], &base[size_t(ids[i]) * dimension],
                              dimension) <= farthest[i / K];
        std::printf("{\"ef\":%zu,\"recall_at_10\":%.4f,\"qps\":%.0f,\"qps_cpu\":%.0f}\n", ef,
                    double(right) / double(query_count * K), double(query_count) / best,
                    double(query_count) / best_cpu);
        std::fflush(stdout);
    }
}
