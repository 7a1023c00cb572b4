import { defineConfig } from "tsdown";

export default defineConfig({
  entry: "src/main.ts",
  format: "esm",
  platform: "node",
  // Syntax that an older Node.js can parse, so that it reaches the check that names the required release.
  target: "node18",
  fixedExtension: false,
  dts: false,
});
