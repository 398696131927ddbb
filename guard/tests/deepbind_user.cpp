// A library that links the driver and is opened with RTLD_DEEPBIND: its calls go around every preloaded
// library.
extern "C" unsigned cuInit(unsigned flags);
extern "C" __attribute__((visibility("default"))) int useDriver();

int useDriver() { return static_cast<int>(cuInit(0)); }
