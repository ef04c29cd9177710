"""A bundle for Android: an AAR, and a Gradle project with a sample app that uses it."""
