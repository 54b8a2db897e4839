// Runs the network, so that the page goes on while it computes. Messages: {clip, shape, time, pass} in; {logits, maps, shape, took, time, pass} out.

import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1;

const load = async () => {
  const bytes = new Uint8Array(await (await fetch(new URL("./model.onnx", import.meta.url))).arrayBuffer());
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
};

const ready = load().then(session => {
  postMessage({ ready: true });
  return session;
}, error => { postMessage({ error: String(error.message ?? error) }); throw error; });

onmessage = async ({ data: { clip, shape, time, pass } }) => {
  const session = await ready, began = performance.now();
  const { logits, saliency_map: maps } = await session.run({ clips: new ort.Tensor("float32", clip, shape) }, ["logits", "saliency_map"]);
  const took = performance.now() - began;
  postMessage({ logits: logits.data, maps: maps.data, shape: maps.dims, took, time, pass }, [maps.data.buffer]);
};
