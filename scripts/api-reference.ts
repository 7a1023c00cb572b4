import { registerHooks } from "node:module";

/* `npm run docs:api`. TypeDoc needs the JavaScript API of the compiler, which TypeScript 7 lacks, so it alone runs on TypeScript 6. */
registerHooks({
  resolve: (specifier, context, next) => next(specifier === "typescript" ? "typescript-6" : specifier, context),
});

await import(new URL("cli.js", import.meta.resolve("typedoc")).href);
