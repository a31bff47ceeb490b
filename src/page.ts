export { type PageRequest, type StatusPageOptions, statusPage } from './page/status-page.js';
