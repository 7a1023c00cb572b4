import { registerHooks } from "node:module";

/*
 * `npm run docs:api`. TypeDoc reads the sources through the compiler's JavaScript API, which TypeScript 7 does not have. So it is
 * given TypeScript 6, and nothing else here is.
 */
registerHooks({
  resolve: (specifier, context, next) => next(specifier === "typescript" ? "typescript-6" : specifier, context),
});

await import(new URL("cli.js", import.meta.resolve("typedoc")).href);
