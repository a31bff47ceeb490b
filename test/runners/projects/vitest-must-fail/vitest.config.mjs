export default { test: { include: ['forgotten.test.mjs'] } };
