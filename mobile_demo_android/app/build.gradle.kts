import com.android.build.api.artifact.SingleArtifact
import javax.xml.parsers.DocumentBuilderFactory
import org.w3c.dom.Element

plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.bertmobile.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "org.bertmobile.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.compileSdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    // Stored as they are: weights hardly get smaller, and unpacking them would take its time at the first start.
    androidResources {
        noCompress += listOf("tflite", "onnx", "ort")
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
        // What bertmobile-bench measures: as fast as a release, with src/benchmark in it. Signed with the debug key,
        // so that it can be installed without a key of one's own.
        create("benchmark") {
            initWith(getByName("release"))
            // By adb's shell, so that simpleperf and Perfetto may look into it.
            isProfileable = true
            signingConfig = signingConfigs.getByName("debug")
            matchingFallbacks += "release"
        }
    }

    // Unit tests are built for one build type; this one has all sources.
    testBuildType = "benchmark"

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    testOptions {
        unitTests.all {
            it.useJUnitPlatform()
            val vectors = rootDir.resolve("../tests/vectors/data")
            it.inputs.dir(vectors)
            it.systemProperty("bertmobile.vectors", vectors)
        }
    }
}

kotlin {
    compilerOptions {
        allWarningsAsErrors = true
    }
}

/** Passes a manifest on that asks for no permission, whatever libraries bring, and ends the build with any other. */
abstract class NoPermissions : DefaultTask() {
    @get:InputFile
    @get:PathSensitive(PathSensitivity.NONE)
    abstract val merged: RegularFileProperty

    @get:OutputFile
    abstract val checked: RegularFileProperty

    @TaskAction
    fun check() {
        val file = merged.get().asFile
        val elements = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file).documentElement.childNodes
        val asked = List(elements.length) { elements.item(it) }
            .filterIsInstance<Element>()
            .filter { it.tagName.startsWith("uses-permission") }
            .map { it.getAttribute("android:name") }
        if (asked.isNotEmpty()) {
            throw GradleException(
                "the app would ask for ${asked.joinToString()}; " +
                    "take it out in src/main/AndroidManifest.xml, with tools:node=\"remove\"",
            )
        }
        file.copyTo(checked.get().asFile, overwrite = true)
    }
}

androidComponents {
    onVariants { variant ->
        val check = tasks.register<NoPermissions>("check${variant.name.replaceFirstChar { it.uppercase() }}Permissions")
        variant.artifacts.use(check)
            .wiredWithFiles(NoPermissions::merged, NoPermissions::checked)
            .toTransform(SingleArtifact.MERGED_MANIFEST)
    }
}

dependencies {
    implementation(project(":core"))
    implementation(project(":engine-litert"))
    implementation(project(":engine-ort"))
    testImplementation(libs.junit.jupiter)
    testRuntimeOnly(libs.junit.launcher)
}
