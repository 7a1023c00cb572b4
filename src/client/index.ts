/**
 * A typed client of Castellan's HTTP API. It depends on nothing else of Castellan, so a browser can load it.
 *
 * @module castellan/client
 */

export {};
