// Certificates made for one test by the openssl program, gone with it.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "pipelines/adapter/tls_channel.h"
#include "tests/platform/scratch.h"

namespace slipring {

class TlsIdentities {
 public:
  // An authority, and what it vouches for: a server "localhost" and 127.0.0.1, and a client
  // "reader".
  TlsIdentities() {
    make("authority", "/CN=authority", "-addext basicConstraints=critical,CA:TRUE");
    vouch("server", "authority", "subjectAltName=DNS:localhost,IP:127.0.0.1");
    vouch("client", "authority", "subjectAltName=DNS:reader");
  }

  // Another authority, and a client that it alone vouches for.
  void add_stranger() {
    make("stranger", "/CN=stranger", "-addext basicConstraints=critical,CA:TRUE");
    vouch("impostor", "stranger", "subjectAltName=DNS:reader");
  }
  // One that `authority` vouches for, with an `extension` such as subjectAltName=DNS:….
  void vouch(const std::string& name, const std::string& authority, const std::string& extension) {
    make(name, "/CN=" + name,
         "-CA " + certificate(authority) + " -CAkey " + key(authority) + " -addext " + extension +
             " -addext basicConstraints=CA:FALSE");
  }
  // Whose certificate ended yesterday.
  void add_expired() {
    const std::string request = scratch_.path() + "/request";
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=reader -keyout " +
        key("expired") + " -out " + request);
    run("openssl x509 -req -in " + request + " -CA " + certificate("authority") + " -CAkey " +
        key("authority") + " -days -1 -out " + certificate("expired"));
  }

  [[nodiscard]] std::string certificate(const std::string& name) const {
    return scratch_.path() + "/" + name + ".pem";
  }
  [[nodiscard]] std::string key(const std::string& name) const {
    return scratch_.path() + "/" + name + ".key";
  }
  [[nodiscard]] TlsCredentials credentials(const std::string& name,
                                           const std::string& authority = "authority") const {
    return {certificate(authority), certificate(name), key(name)};
  }
  [[nodiscard]] const std::string& folder() const { return scratch_.path(); }

 private:
  void make(const std::string& name, const std::string& subject, const std::string& more) {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " +
        key(name) + " -out " + certificate(name) + " -subj " + subject + " " + more);
  }
  void run(const std::string& command) {
    const std::string quiet = command + " 2>" + scratch_.path() + "/log";
    REQUIRE_MESSAGE(std::system(quiet.c_str()) == 0, command);
  }

  Scratch scratch_;
};

}  // namespace slipring
