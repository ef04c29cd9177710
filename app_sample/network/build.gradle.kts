// The AAR as a module, so that an app can say implementation(project(":network")).
configurations.maybeCreate("default")
artifacts.add("default", file("network.aar"))
