export { type DiscoverLimit, type DiscoverOptions, type Discovery, discover } from './gateway/discover.js';
export { type PathPolicy, policyFor } from './gateway/path-policies.js';
export {
  type JsonLifetimes,
  type JsonPolicy,
  type JsonRule,
  type PolicyFromJson,
  type PropertyPaths,
  policyFromJson,
} from './gateway/policy-from-json.js';
export type { Discovered } from './gateway/search.js';
