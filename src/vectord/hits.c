/* Hits as JSON and as raw bytes. */
#include "vectord/hits.h"

static lh_str id_of(const struct lh_hits *hits, size_t i)
{
    return lh_vindex_id(hits->index, (uint32_t)hits->items[i].slot);
}

static float distance_of(const struct lh_hits *hits, size_t i)
{
    return lh_hnsw_distance(hits->index->config.metric, hits->items[i].order);
}

void lh_hits_put_metadata(struct lh_json *json, const struct lh_vindex *index, uint32_t slot)
{
    lh_str metadata = lh_vindex_metadata(index, slot);
    lh_json_key(json, "metadata");
    if (metadata.len > 0)
        lh_json_raw(json, metadata);
    else
        lh_json_null(json);
}

void lh_hits_put_json(struct lh_json *json, const struct lh_hits *hits, size_t i, bool metadata)
{
    lh_json_object(json);
    lh_json_kstr(json, "id", id_of(hits, i));
    lh_json_key(json, "distance");
    lh_json_f32(json, distance_of(hits, i));
    if (metadata)
        lh_hits_put_metadata(json, hits->index, (uint32_t)hits->items[i].slot);
    lh_json_object_end(json);
}

void lh_hits_put_raw(struct lh_buf *out, const struct lh_hits *hits)
{
    static const char zeros[4] = "";
    const uint32_t head[2] = {(uint32_t)hits->count, hits->exact};
    lh_buf_append(out, head, sizeof(head));
    for (size_t i = 0; i < hits->count; i++) {
        const float distance = distance_of(hits, i);
        lh_buf_append(out, &distance, sizeof(distance));
    }
    for (size_t i = 0; i < hits->count; i++) {
        const uint16_t len = (uint16_t)id_of(hits, i).len;
        lh_buf_append(out, &len, sizeof(len));
    }
    size_t tail = hits->count * sizeof(uint16_t);
    for (size_t i = 0; i < hits->count; i++) {
        lh_buf_append_str(out, id_of(hits, i));
        tail += id_of(hits, i).len;
    }
    lh_buf_append(out, zeros, (4 - tail % 4) % 4);
}
