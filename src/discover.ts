export {
  type Discovered,
  type DiscoverLimit,
  type DiscoverOptions,
  type Discovery,
  discover,
  type PathPolicy,
  policyFor,
} from './gateway/discover.js';
