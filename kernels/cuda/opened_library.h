// A library that is opened when one of its functions is first called: what the loaders of NVIDIA's large libraries have
// in common. Each loader defines the functions that Rubato calls, by their real names; tests link a fake in its place.
//
// Thread-safety: as the library's.
#pragma once

#include <dlfcn.h>

namespace rubato::kernels::cuda {

// By its name, as the system finds it, or else where the toolkit was that the build has seen. Null: in neither. Its
// symbols are nobody else's.
inline void* open_library(const char* name, const char* path) {
  void* const found = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  return found != nullptr ? found : dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

// The function called `name`, declared as the first argument is; null where there is none.
template <typename Declared>
Declared* find_function(Declared* /*declared*/, void* library, const char* name) {
  return library == nullptr ? nullptr : reinterpret_cast<Declared*>(dlsym(library, name));
}

// Calls it, or is `missing`.
template <typename Returned, typename... Parameters, typename... Arguments>
Returned call_in(void* library, Returned missing, Returned (*declared)(Parameters...), const char* name,
                 Arguments... arguments) {
  auto* const function = find_function(declared, library, name);
  return function == nullptr ? missing : function(arguments...);
}

}  // namespace rubato::kernels::cuda
