import { defineConfig } from "tsdown";

export default defineConfig({
  entry: {
    index: "src/index.ts",
    "testing/index": "src/testing/index.ts",
    cluster: "src/connect.ts",
    otel: "src/telemetry/otel.ts",
    prometheus: "src/telemetry/prometheus.ts",
    cli: "src/cli/main.ts",
  },
  format: "esm",
  platform: "node",
  // What an older Node.js can parse, so that it comes as far as to say in words which one is needed.
  target: "node18",
  fixedExtension: false,
  dts: true,
  sourcemap: true,
  // Lines of stack traces are found without them, and they would be half of the package.
  outputOptions: { sourcemapExcludeSources: true },
});
