plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "org.bertmobile.engine.litert"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    compilerOptions {
        allWarningsAsErrors = true
    }
}

dependencies {
    api(project(":core"))
    implementation(libs.litert) {
        // Delivers models from a store, which nothing here asks for; its manifest has services.
        exclude(group = "com.google.android.play")
    }
}
