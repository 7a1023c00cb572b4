import { defineConfig } from "tsdown";

export default defineConfig({
  entry: {
    index: "src/index.ts",
    "testing/index": "src/testing/index.ts",
    cluster: "src/connect.ts",
    otel: "src/telemetry/otel.ts",
    prometheus: "src/telemetry/prometheus.ts",
    server: "src/server/index.ts",
    client: "src/client/index.ts",
    cli: "src/cli/main.ts",
  },
  format: "esm",
  platform: "node",
  // Syntax that an older Node.js can parse, so that it reaches the check that names the required release.
  target: "node18",
  fixedExtension: false,
  dts: true,
  sourcemap: true,
  // Stack traces need only the line mappings: sources would be half of the package. The declarations have the doc comments.
  outputOptions: { sourcemapExcludeSources: true, comments: { jsdoc: false } },
});
