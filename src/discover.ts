export { type DiscoverLimit, type DiscoverOptions, type Discovery, discover } from './gateway/discover.js';
export { type PathPolicy, policyFor } from './gateway/path-policies.js';
export type { Discovered } from './gateway/search.js';
