export { SimulatedClock, settle } from "../../src/testing/simulated-clock.ts";
