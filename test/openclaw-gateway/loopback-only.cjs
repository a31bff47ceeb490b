/*
 * Loaded before the gateway (`node --require`): connections to anything but this machine fail, as they would behind a
 * firewall. The gateway asks for prices of models and for updates of itself at its start.
 */
const { Socket, isIP } = require('node:net');

const connect = Socket.prototype.connect;

Socket.prototype.connect = function connectToLoopback(...parameters) {
  // Either what a caller gave, or the list that `net.connect` has made of it: [options, callback].
  const [first] = Array.isArray(parameters[0]) ? parameters[0] : parameters;
  const host = typeof first === 'object' && first !== null ? first.host : parameters[1];
  if (isLoopback(host) || (typeof first === 'object' && Boolean(first?.path))) {
    return connect.apply(this, parameters);
  }
  const error = Object.assign(new Error(`connect to ${host}: this test stays on loopback`), {
    code: 'ECONNREFUSED',
  });
  process.nextTick(() => this.destroy(error));
  return this;
};

function isLoopback(host) {
  if (typeof host !== 'string') return true;
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
